package pacer

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Holds says whether a client is held, or the network of 56 bits that it is in.
func (j *Jail) Holds(now time.Time, client Client) bool {
	m := j.held.Load()
	if m == nil {
		return false
	}
	h, ok := (*m)[client]
	if ok && h.holds(now) {
		return true
	}
	if !client.six {
		return false
	}
	h, ok = (*m)[client.Wide()]
	return ok && h.holds(now)
}

// holds says whether a sentence goes on. One that ends later than any began
// now would is from before the clock was set back.
func (h held) holds(now time.Time) bool {
	left := h.until.Sub(now)
	return left > 0 && left <= Sentence
}

// Sentence holds a client for an offence that was found elsewhere, or holds it on. It is as cheap as a look when it was held a moment ago.
func (j *Jail) Sentence(now time.Time, client Client, offence Offence) { j.hold(now, client, offence) }

// Told holds a client until a time because another node does, unless it is held for as long already. A sentence from now on is the longest there is.
func (j *Jail) Told(now time.Time, client Client, offence Offence, until time.Time) {
	h := held{offence, earlier(until, now.Add(Sentence)), true}
	if m := j.held.Load(); m != nil {
		if old, ok := (*m)[client]; ok && old.holds(now) {
			if !h.until.After(old.until) {
				return
			}
			h.told = old.told // who found it out is not told: his own word comes back, in whole seconds
		}
	}
	if h.holds(now) {
		j.put(now, client, h)
	}
}

// hold sentences a client, or holds it on for as long as after its first
// offence. A second offence within the same window changes nothing.
func (j *Jail) hold(now time.Time, client Client, offence Offence) {
	if m := j.held.Load(); m != nil {
		if h, ok := (*m)[client]; ok && h.holds(now) && h.until.Sub(now) > Sentence-rateWindow {
			return
		}
	}
	j.put(now, client, held{offence: offence, until: now.Add(Sentence)})
}

// put stores a sentence, if there is room for it.
func (j *Jail) put(now time.Time, client Client, h held) {
	j.mu.Lock()
	defer j.mu.Unlock()
	left := make(map[Client]held)
	if m := j.held.Load(); m != nil {
		left = *m
	}
	old, again := left[client]
	again = again && old.holds(now)
	if wait := j.room.Sub(now); !again && wait > 0 && wait <= Sentence { // a flood shall not make us look at all of them each time
		j.full++
		return
	}
	left = maps.Clone(left)
	maps.DeleteFunc(left, func(_ Client, h held) bool { return !h.holds(now) })
	switch {
	case !again && len(left) >= maxHeld:
		j.full++
		j.room = now.Add(Sentence)
		for _, h := range left {
			j.room = earlier(j.room, h.until)
		}
		return
	case !again:
		j.count[h.offence]++
	}
	left[client] = h
	j.held.Store(&left)
}

// JailStats is what there is to see of a jail.
type JailStats struct {
	Held      map[string]int    // clients, by the name of their last offence
	Sentenced map[string]uint64 // since the start, by the first of each stay
	Full      uint64            // clients that were not held because it was full
	Some      []HeldClient      // those that are held the longest from now on
}

// HeldClient is a client in the jail.
type HeldClient struct {
	Client  netip.Prefix
	Offence Offence
	Until   time.Time
	Told    bool // another node says so
}

// shownHeld is how many clients Stats names.
const shownHeld = 10

// Stats returns the figures of now.
func (j *Jail) Stats(now time.Time) JailStats {
	s := JailStats{Held: map[string]int{}, Sentenced: map[string]uint64{}}
	j.mu.Lock()
	s.Full = j.full
	for _, o := range Offences() {
		s.Held[o.String()], s.Sentenced[o.String()] = 0, j.count[o]
	}
	j.mu.Unlock()
	s.Some = j.All(now)
	for _, h := range s.Some {
		s.Held[h.Offence.String()]++
	}
	s.Some = s.Some[:min(len(s.Some), shownHeld)]
	return s
}

// All returns who is held, 1024 at most, those that are for longest first.
func (j *Jail) All(now time.Time) (all []HeldClient) {
	m := j.held.Load()
	if m == nil {
		return nil
	}
	for client, h := range *m {
		if h.holds(now) {
			all = append(all, HeldClient{client.prefix(), h.offence, h.until, h.told})
		}
	}
	slices.SortFunc(all, func(a, b HeldClient) int {
		if d := b.Until.Compare(a.Until); d != 0 {
			return d
		}
		return a.Client.Addr().Compare(b.Client.Addr())
	})
	return all
}

// Wide returns the network of 56 bits that an IPv6 client is in, which is what a customer may have. An IPv4 client is itself.
func (c Client) Wide() Client {
	if c.six {
		c.bits, c.wide = c.bits&^0xff, true
	}
	return c
}

// ClientIn returns the client that a network is: an IPv4 address, or 56 or 64 bits of IPv6. ok is false when it is none.
func ClientIn(p netip.Prefix) (c Client, ok bool) {
	c = ClientOf(p.Addr())
	if c.six && p.Bits() == wideBits {
		c = c.Wide()
	}
	return c, p.IsValid() && c.prefix() == p
}

const wideBits = 56

// Words returns a client in two numbers, for hashing: no two clients have the same.
func (c Client) Words() (bits, kind uint64) {
	switch {
	case c.wide:
		return c.bits, 56
	case c.six:
		return c.bits, 64
	}
	return c.bits, 32
}

// prefix returns the addresses that a client is.
func (c Client) prefix() netip.Prefix {
	if !c.six {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(c.bits))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], c.bits)
	if c.wide {
		return netip.PrefixFrom(netip.AddrFrom16(b), wideBits)
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
