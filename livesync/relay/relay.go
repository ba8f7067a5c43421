package relay

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/seal"
	"starling/wire"
)

const (
	// maxWaiting is how many packets wait for the server at most, some 1.5 MB.
	maxWaiting = 1024
	// lastWords is how long what was said at the end may take to reach the server.
	lastWords = time.Second
)

// Config is what a relay needs to know.
type Config struct {
	Servers Servers
	// Keys are the cluster's: the first gives the subject to publish under, all of them those to listen to.
	Keys seal.Keys
	// Deliver takes in a packet that whoever has that number published. It keeps nothing of b.
	Deliver func(now time.Time, number uint64, b []byte)
	// Changed is told when the relay gets or loses its server. It must not wait. Nil: nobody wants to know.
	Changed func(now time.Time, s Status)
	Log     zerolog.Logger
}

// Relay is this node's way to a NATS server. [New] makes one, [Relay.Run] is its whole life.
type Relay struct {
	cfg      Config
	log      zerolog.Logger
	number   uint64
	subjects []string // that are listened to; the first is published under
	reply    string   // our inbox under the first subject
	tunnels  *tunnels

	waiting chan []byte // packets for the server
	spare   chan []byte // buffers of those that have left

	mu     sync.Mutex // guards what follows
	bus    *bus       // nil while there is no server
	status Status
}

// New returns a relay that does nothing yet.
func New(cfg Config) *Relay {
	var drawn [8]byte
	crand.Read(drawn[:]) // never fails
	r := &Relay{
		cfg: cfg, log: cfg.Log, number: binary.BigEndian.Uint64(drawn[:]),
		waiting: make(chan []byte, maxWaiting), spare: make(chan []byte, maxWaiting),
		status: Status{Servers: cfg.Servers.String()},
	}
	for i := range cfg.Keys {
		r.subjects = append(r.subjects, Subject(&cfg.Keys[i]))
	}
	r.reply = inbox(r.subjects[0], r.number)
	r.tunnels = newTunnels(r.number, r.publishFrame)
	return r
}

// Way is what livesync needs of a relay.
func (r *Relay) Way() *livesync.Relay {
	return &livesync.Relay{Send: r.Send, Dial: r.dial, Listen: r.tunnels.listen}
}

// Send takes a copy of a packet that is to be published, unless too many wait.
func (r *Relay) Send(pkt []byte) {
	var b []byte
	select {
	case b = <-r.spare:
	default:
		b = make([]byte, 0, wire.MaxPacket)
	}
	select {
	case r.waiting <- append(b[:0], pkt...):
	default:
		r.count(func(s *Status) { s.Dropped.Full++ })
	}
}

// dial opens a connection to the node behind an address that livesync heard packets from.
func (r *Relay) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	number, ok := livesync.RelayNumber(addr.Addr())
	if !ok {
		return nil, errNoNumber
	}
	return r.tunnels.dial(ctx, number)
}

// Run is connected to a server, whenever there is one, until ctx ends. What waits then still leaves.
func (r *Relay) Run(ctx context.Context) error {
	end, err := r.connect()
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	defer end()
	r.carry(ctx)
	return nil
}

// carry publishes what waits until ctx ends, and what waits then.
func (r *Relay) carry(ctx context.Context) {
	for {
		select {
		case b := <-r.waiting:
			r.publish(b)
			continue
		case <-ctx.Done():
		}
		for {
			select {
			case b := <-r.waiting:
				r.publish(b)
			default:
				return
			}
		}
	}
}

// publish publishes one packet, or drops it.
func (r *Relay) publish(b []byte) {
	bus := r.present()
	switch {
	case bus == nil:
		r.count(func(s *Status) { s.Dropped.CutOff++ })
	default:
		if err := bus.publish(r.subjects[0], r.reply, b); err != nil {
			r.count(func(s *Status) { s.Dropped.CutOff++; s.fail(time.Now(), err) })
			break
		}
		r.count(func(s *Status) { s.Sent.add(len(b)) })
	}
	select {
	case r.spare <- b:
	default:
	}
}

// publishFrame publishes a part of a connection to another relay.
func (r *Relay) publishFrame(to uint64, frame []byte) error {
	bus := r.present()
	if bus == nil {
		return errCutOff
	}
	if err := bus.publish(inbox(r.subjects[0], to), r.reply, frame); err != nil {
		return err
	}
	r.count(func(s *Status) { s.Streams.Sent.add(len(frame)) })
	return nil
}

// heard takes in a message: a packet that came under one of our subjects, or a part of a connection that came to our inbox.
func (r *Relay) heard(private bool, reply string, b []byte) {
	from, ok := numberOf(reply)
	switch {
	case !ok:
		r.count(func(s *Status) { s.Dropped.Foreign++ })
	case from == r.number: // the server returned it although it was asked not to
		r.count(func(s *Status) { s.Dropped.Own++ })
	case private:
		r.count(func(s *Status) { s.Streams.Received.add(len(b)) })
		r.tunnels.heard(from, b)
	default:
		r.count(func(s *Status) { s.Received.add(len(b)) })
		r.cfg.Deliver(time.Now(), from, b)
	}
}

// present returns the way to the server, nil while there is none.
func (r *Relay) present() *bus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bus
}

// count changes the counters.
func (r *Relay) count(change func(s *Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}
