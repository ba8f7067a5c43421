package tracker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"starling/tracker/abuse"
	"starling/wire/mmsg"
)

// UDPConfig is what the UDP server needs to know beyond the tracker.
type UDPConfig struct {
	TrustedProxies []netip.Prefix // whose word in the address field of an announce counts, besides private and loopback sources
	Pacing         *Pacing        // what answers may cost; nil: nothing is paced, and nothing is paid for it
	Abuse          *abuse.Watch   // of what clients do; nil: nobody is watched
	Secret         []byte         // of a server that this one takes over from, whose connection ids stay good; nil: there is none
}

// UDP answers BEP 15: connect, announce and scrape. It keeps nothing for a
// client and never sends more than it was sent to an address that has not
// proved, with a connection id, that it receives what is sent there:
//
//	too short, too long, no connect of BEP 15, wrong connection id   silence
//	connect                                                          16 bytes for 16 or more
//	valid connection id, anything wrong after it                     BEP 15 error
//	valid announce or scrape                                         at most 1232 bytes
//
// One UDP may serve several sockets; they share the secret behind the ids.
type UDP struct {
	tracker *Tracker
	sources sources
	ids     *connIDs
	abuse   *abuse.Watch
	paced   atomic.Pointer[Pacing] // nil: nothing is paced

	mu      sync.Mutex
	tallies []*tally // one for each Serve there was
}

// udpRefusals are the refusals of this server.
var udpRefusals = []refusal{
	refuseShort, refuseLong, refuseProtocol, refuseConnectionID, refuseAction, refuseParameter, refuseReceive, refuseSend,
	refuseDenied, refuseUnlisted, refuseDeniedClient, refusePasskey, refuseJail, refuseConnect,
}

// NewUDP returns a server for t. It starts nothing.
func NewUDP(t *Tracker, cfg UDPConfig) *UDP {
	s := &UDP{tracker: t, sources: sources{cfg.TrustedProxies}, ids: newConnIDs(time.Now(), cfg.Secret), abuse: cfg.Abuse}
	s.paced.Store(cfg.Pacing)
	return s
}

// Secret returns what connection ids are made with, for a server that takes over. It is not to be seen by anybody else.
func (s *UDP) Secret() []byte { return s.ids.secret() }

// Pace begins to pace a server that did not; nil: it ends.
func (s *UDP) Pace(p *Pacing) { s.paced.Store(p) }

// Counts returns what the server has done on all its sockets.
func (s *UDP) Counts() ServerCounts {
	c := ServerCounts{Refused: make(map[string]uint64)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tallies {
		c.add(t, udpRefusals)
	}
	return c
}

// newWorker returns a worker with a tally of its own.
func (s *UDP) newWorker() *udpWorker {
	w := &udpWorker{UDP: s, tally: new(tally)}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.toll.shard = len(s.tallies)
	s.tallies = append(s.tallies, w.tally)
	return w
}

// A UDP packet is read into a buffer that holds every request there is: the
// longest are a scrape of 74 torrents, 1496 bytes, and an announce with options, which no
// network carries beyond its usual 1500 bytes. What is longer than the buffer is refused.
const maxUDPRequest = 2048

// receivePause is how long a reader waits after the system failed to hand over a packet, so that a
// lasting fault does not spin.
const receivePause = 10 * time.Millisecond

// lastSend is how long the last answer may wait for room in the send buffer.
const lastSend = time.Second

// batch is how many packets are taken and answered at once at most: the system calls are a small part of what so many cost, and
// the first of them waits for the others no longer than some 100 us.
const batch = 32

// Serve answers what arrives on conn, which comes from [ListenUDP], without an allocation, until ctx ends. The packets in hand
// are then answered, conn is closed and the result is nil. Any other end is an error.
//
// Packets that are there are taken together, by one system call, and so are their answers sent; a packet that comes alone is answered at once.
func (s *UDP) Serve(ctx context.Context, conn *net.UDPConn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() {
		conn.SetReadDeadline(time.Unix(1, 0))
		conn.SetWriteDeadline(time.Now().Add(lastSend))
	})()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	w := s.newWorker()
	in, out := mmsg.NewReader(raw, batch, maxUDPRequest+1), mmsg.NewWriter(raw, batch)
	for {
		err := in.Serve(func(n int) { w.answerAll(time.Now(), in, n, out) })
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		w.tally.refuse(refuseReceive)
		time.Sleep(receivePause)
	}
}

// answerAll answers the packets that were read together, at one time for all of them.
func (w *udpWorker) answerAll(now time.Time, in *mmsg.Reader, n int, out *mmsg.Writer) {
	w.pacing = w.paced.Load()
	if n >= aheadLeast && w.tracker.large.Load() {
		w.readAhead(now, in, n)
	}
	before := w.tally.announces.Load() // nobody else counts there
	for i := range n {
		reply := w.handle(now, in.From(i).Addr(), in.Bytes(i), w.replies[i][:0])
		if len(reply) == 0 {
			continue
		}
		if w.pacing != nil {
			w.paceRest(len(reply))
		}
		out.Add(reply, in.Name(i), replyControl(in.Control(i)))
	}
	for out.Waiting() > 0 {
		if _, err := out.Send(); err != nil {
			w.tally.refuse(refuseSend)
		}
	}
	if announces := w.tally.announces.Load() - before; announces > 0 {
		w.tally.latency.took(time.Since(now), announces)
	}
}
