package netnstests

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// A flock is many clients of one tracker, each of which announces once over UDP. All come from one host; client number i of
// all flocks of a test is in torrent i/20, with a port of its own there.
type flock struct {
	host  *host
	to    *node
	conn  net.Conn
	id    [8]byte
	first int
	done  []atomic.Bool // who was answered
	left  atomic.Int64  // how many were not
	ended chan error
}

// flock lets clients announce, so many a second, and asks again for those that were not answered.
func (h *host) flock(at *node, first, count, perSecond int) *flock {
	h.net.t.Helper()
	c := &flock{host: h, to: at, first: first, done: make([]atomic.Bool, count), ended: make(chan error, 1)}
	c.left.Store(int64(count))
	u := h.dialUDP(at.ip4)
	c.conn, c.id = u.conn, u.id
	go c.hear()
	go func() { c.ended <- c.run(perSecond) }()
	return c
}

// wait waits until all have been answered.
func (c *flock) wait() {
	c.host.net.t.Helper()
	if err := <-c.ended; err != nil {
		c.host.net.t.Fatalf("clients of %s: %v", c.to.name, err)
	}
}

// run sends what is due each few milliseconds.
func (c *flock) run(perSecond int) error {
	const tick = 5 * time.Millisecond
	clock := time.NewTicker(tick)
	defer clock.Stop()
	begin := time.Now()
	for next := 0; next < len(c.done); <-clock.C {
		due := min(int(time.Since(begin).Seconds()*float64(perSecond))+1, len(c.done))
		for ; next < due; next++ {
			if err := c.announce(next); err != nil {
				return err
			}
		}
	}
	for round := 0; c.left.Load() > 0; <-clock.C {
		if round++; time.Duration(round)*tick > patience {
			return fmt.Errorf("%d clients were not answered", c.left.Load())
		}
		if round%200 == 100 {
			for i := range c.done {
				if c.done[i].Load() {
					continue
				}
				if err := c.announce(i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// announce sends one client's request, whose transaction is its number.
func (c *flock) announce(i int) error {
	raw, err := hex.DecodeString(hash((c.first + i) / 20))
	if err != nil {
		return err
	}
	b := append(c.id[:len(c.id):len(c.id)], 0, 0, 0, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(i))
	b = append(append(b, raw...), "-NN0001-012345678901"...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(i%3)) // every third is a seeder
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint32(b, 2)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // no peers are wanted
	b = binary.BigEndian.AppendUint16(b, uint16(10000+(c.first+i)%50000))
	_, err = c.conn.Write(b)
	return err
}

// hear notes who was answered, until the connection is closed.
func (c *flock) hear() {
	b := make([]byte, 2048)
	for {
		c.conn.SetReadDeadline(time.Time{})
		n, err := c.conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 20 || binary.BigEndian.Uint32(b) != 1 {
			continue
		}
		if i := binary.BigEndian.Uint32(b[4:]); i < uint32(len(c.done)) && !c.done[i].Swap(true) {
			c.left.Add(-1)
		}
	}
}

// scrapeUntil asks a tracker for a torrent over UDP again and again until it has a seeder, and returns when; the zero time when
// it has none for too long.
func (h *host) scrapeUntil(at *node, hash string) time.Time {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return time.Time{}
	}
	u := h.dialUDP(at.ip4)
	request := append(u.id[:len(u.id):len(u.id)], 0, 0, 0, 2, 0, 0, 0, 9)
	request = append(request, raw...)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-pause.C {
		if got := u.ask(request); len(got) >= 12 && binary.BigEndian.Uint32(got) > 0 {
			return time.Now()
		}
	}
	return time.Time{}
}

// A filler is a host without a cluster key whose packets are believed; it fills trackers with peers
// faster than clients could.
type filler struct {
	*forger
	id string
}

// fill tells of peers in torrents, ten a millisecond at most, and waits until the nodes have them all. The peers of all torrents
// are as many.
func (f *filler) fill(torrents, peers int, nodes ...*node) {
	t := f.host.net.t
	t.Helper()
	const batch = 52
	clock := time.NewTicker(time.Millisecond)
	defer clock.Stop()
	pkt := header(f.id, 0)
	for i := range peers {
		address := netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
		pkt = appendRecord(pkt, hash(i%torrents), netip.AddrPortFrom(address, 6881), byte(i/torrents&1)<<7)
		if (i+1)%batch == 0 || i+1 == peers {
			f.send(group, pkt)
			pkt = header(f.id, 0)
		}
		if (i+1)%(batch*6) == 0 {
			<-clock.C
		}
	}
	for _, n := range nodes {
		n.until("was filled", func(s status) error {
			if s.Peers.IPv4 < uint64(peers) {
				return fmt.Errorf("%d of %d peers; dropped %v", s.Peers.IPv4, peers, s.Livesync.Dropped)
			}
			return nil
		})
	}
}

// filler makes a filler of a host; what it sends is not kept in the capture.
func (h *host) filler() *filler {
	h.net.t.Helper()
	f := &filler{forger: h.forger(h.ip4), id: "f1f1f1f1"}
	h.net.wire.mu.Lock()
	h.net.wire.quiet = h.ip4
	h.net.wire.mu.Unlock()
	return f
}
