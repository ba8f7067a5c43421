package relay

import (
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// How the client of NATS is set. A server that does not answer for two pings is gone; it is tried again twice a second for as long as it takes.
const (
	connectTime   = 5 * time.Second
	pingInterval  = 5 * time.Second
	retryInterval = 500 * time.Millisecond
	retryJitter   = 250 * time.Millisecond
	flushTime     = 5 * time.Second
	// What may wait for us in the client: packets, and what all connections may have under way.
	pendingMessages = 16 << 10
	pendingBytes    = 32 << 20
)

// bus is the way to a NATS server: the seam between a relay and the network.
type bus struct {
	publish func(subject, reply string, b []byte) error
}

// connect begins to look for a server, and never ceases until end is called. An error is one of what was asked for.
func (r *Relay) connect() (end func(), err error) {
	var drops slowness
	closed := make(chan struct{})
	there := func(c *nats.Conn) {
		r.connected(time.Now(), c.ConnectedAddr(), &bus{publish: c.PublishRequest})
	}
	nc, err := nats.Connect(r.cfg.Servers.urls,
		nats.Name("starling"), nats.NoEcho(), nats.Timeout(connectTime),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(retryInterval), nats.ReconnectJitter(retryJitter, retryJitter),
		nats.ReconnectBufSize(-1), // what is late is stale
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(flushTime),
		nats.ConnectHandler(there),
		nats.ReconnectHandler(there),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { r.cutOff(time.Now(), err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { r.cutOff(time.Now(), err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				r.slow(time.Now(), drops.of(sub), err)
				return
			}
			r.troubled(time.Now(), err)
		}))
	if err != nil {
		return nil, err
	}
	for _, subject := range r.subjects {
		err = errors.Join(err,
			subscribe(nc, subject, func(m *nats.Msg) { r.heard(false, m.Reply, m.Data) }),
			subscribe(nc, inbox(subject, r.number), func(m *nats.Msg) { r.heard(true, m.Reply, m.Data) }))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return func() {
		if r.leave() {
			nc.FlushTimeout(lastWords)
		}
		nc.Close()
		<-closed
	}, nil
}

// subscribe listens to a subject, with room for what comes at once.
func subscribe(nc *nats.Conn, subject string, take func(m *nats.Msg)) error {
	sub, err := nc.Subscribe(subject, take)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(pendingMessages, pendingBytes)
}

// slowness counts what was dropped of each subscription.
type slowness struct {
	mu    sync.Mutex // guards known
	known map[*nats.Subscription]int
}

// of returns how many messages were dropped since it was asked last.
func (s *slowness) of(sub *nats.Subscription) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[*nats.Subscription]int)
	}
	all, err := sub.Dropped()
	if err != nil {
		return 0
	}
	more := all - s.known[sub]
	s.known[sub] = all
	return more
}
