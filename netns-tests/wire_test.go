package netnstests

import (
	"fmt"
	"time"
)

// What tests ask of a capture, and what every capture must stand.

// judge holds every packet that a tracker sent to the group to the protocol.
func (c *capture) judge() {
	for _, f := range c.all(anyFrame) {
		if f.dst.Port() == 6771 {
			c.net.t.Errorf("local peer discovery, %s to %s: clients find each other without a tracker", f.src, f.dst)
		}
		if !f.dst.Addr().IsMulticast() || f.dst.Port() != group.Port() || c.foreign[f.src.Addr()] {
			continue
		}
		sender := c.net.at(f.src.Addr())
		if sender == nil || f.dst != sender.group || f.mac != groupMAC(f.dst.Addr()) || f.ttl != 1 || len(f.payload) > 1472 || f.syncErr != nil {
			c.net.t.Errorf("%s to %s (%x), TTL %d, %d bytes: %v", f.src, f.dst, f.mac, f.ttl, len(f.payload), f.syncErr)
		}
	}
}

// all returns the frames so far that match, in order.
func (c *capture) all(match func(frame) bool) []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []frame
	for _, f := range c.frames {
		if match(f) {
			found = append(found, f)
		}
	}
	return found
}

// first waits for a frame that matches and returns the first there is.
func (c *capture) first(what string, match func(frame) bool) frame {
	c.net.t.Helper()
	return c.atLeast(1, what, match)[0]
}

// atLeast waits for n frames that match and returns all there are by then.
func (c *capture) atLeast(n int, what string, match func(frame) bool) (found []frame) {
	c.net.t.Helper()
	eventually(c.net.t, fmt.Sprintf("on the wire: %s", what), func() error {
		if found = c.all(match); len(found) < n {
			return fmt.Errorf("%d of %d frames captured", len(found), n)
		}
		return nil
	})
	return found
}

func anyFrame(frame) bool { return true }

// sent matches livesync packets of a kind from a host; an empty kind is any.
func (h *host) sent(kind string) func(frame) bool {
	return func(f frame) bool {
		return f.dst == h.group && f.src.Addr() == h.ip4 && f.syncErr == nil && (kind == "" || f.sync.kind == kind)
	}
}

// both matches what each of two matches.
func both(a, b func(frame) bool) func(frame) bool {
	return func(f frame) bool { return a(f) && b(f) }
}

// after matches frames later than a moment.
func after(at time.Time) func(frame) bool {
	return func(f frame) bool { return f.at.After(at) }
}

// about matches peer packets with a record of this info hash, in hexadecimal.
func about(hash string) func(frame) bool {
	return func(f frame) bool {
		for _, r := range f.sync.records {
			if r.hash == hash {
				return true
			}
		}
		return false
	}
}
