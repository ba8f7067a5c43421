package livesync

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"starling/livesync/catchup"
)

// catchUp begins to ask other nodes and to answer them, over TLS, until ctx ends or the function it returns is called, which
// waits until nothing of that runs any more.
func (n *Node) catchUp(ctx context.Context, local netip.Addr) (end func()) {
	if n.catch == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	ln, err := catchup.Listen(netip.AddrPortFrom(local, n.cfg.Group.Port()))
	if err != nil {
		n.log.Warn().Err(err).Msg("no other node can catch up from this one")
	} else {
		n.SetCatchUpPort(uint16(ln.Addr().(*net.TCPAddr).Port))
		both.Go(func() { n.tellOthers(ctx, ln) })
	}
	if r := n.cfg.Relay; r != nil {
		both.Go(func() { n.tellOthers(ctx, r.Listen()) })
	}
	both.Go(func() { n.ask(ctx) })
	if n.edits != nil {
		both.Go(func() { n.fetchEdits(ctx) })
	}
	return func() {
		cancel()
		both.Wait()
		n.SetCatchUpPort(0)
	}
}

// tellOthers answers other nodes until ctx ends.
func (n *Node) tellOthers(ctx context.Context, ln net.Listener) {
	s := catchup.Server{TLS: n.catch.tls, Answer: n.Answer, Log: n.log}
	if n.edits != nil {
		s.Edits = n.answerEdits
	}
	if n.cfg.Budget != nil {
		s.Budget = func(now time.Time, bytes int) time.Duration { return n.cfg.Budget(now, TellLane, bytes) }
	}
	if err := s.Serve(ctx, ln); err != nil {
		n.log.Error().Err(err).Msg("no other node can catch up from this one any more")
	}
}

// askNobody lets the time for catching up pass while the group is not joined, so that clients are not kept waiting for that.
func (n *Node) askNobody(now time.Time, why error) {
	if want, _ := n.Fetch(now); want != nil {
		n.FetchOver(now, why)
	}
}

// ask fetches what is lacked, one stream after the other.
func (n *Node) ask(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.catch.wanted:
		case <-timer.C:
		}
		want, request := n.Fetch(time.Now())
		if want != nil {
			err := catchup.Fetch(ctx, n.dial, n.catch.tls, want, request, n.FetchSize, n.Fetched)
			n.FetchOver(time.Now(), err)
			timer.Reset(0)
			continue
		}
		n.mu.Lock()
		now := time.Now()
		due := n.catch.machine.Due(now)
		n.mu.Unlock()
		wait := watchInterval
		if !due.IsZero() {
			wait = min(max(due.Sub(now), time.Millisecond), watchInterval)
		}
		timer.Reset(wait)
	}
}
