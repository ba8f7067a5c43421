package catchup

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// maxConnections is how many nodes are told at once.
	maxConnections = 8
	// maxStrangers is how many connections may be there that have not shown the key yet, and maxOfOne how many of them from one address:
	// who has no key must not keep those out who have.
	maxStrangers = 64
	maxOfOne     = 8
	// strangerPause is how long one that came to nothing counts on, so that a handshake costs who cannot finish it more than us.
	strangerPause = time.Second
	// handshakeTime is how long a connection may take until the request is there; and a connection that is not taken, to fail.
	handshakeTime = 5 * time.Second
	// paidPiece is how many bytes the budget is asked for at once: about a packet.
	paidPiece = 1400
	// longestWait is after how long the budget is asked again at the latest.
	longestWait = time.Second
)

// Server tells other nodes what they lack.
type Server struct {
	// TLS is [TLS]'s.
	TLS *tls.Config
	// Answer makes the stream that a request asks for.
	Answer func(now time.Time, r Request) (*Teller, error)
	// Edits makes the frames that a request with [Request.Edits] asks for. Nil: no lists are shared.
	Edits func(now time.Time, r Request, sums []byte) (frames func() []byte, err error)
	// Budget is asked before bytes leave; 0 lets them leave and has booked them, else it says after how long to ask again. Nil: nothing waits.
	Budget func(now time.Time, bytes int) (wait time.Duration)
	Log    zerolog.Logger
}

// Listen listens on an address, on the port given if it is free, else on any.
func Listen(addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		ln, err = lc.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr.Addr(), 0).String())
	}
	return ln, err
}

// Serve answers on ln until ctx ends, and closes it. Then it returns nil, else why it could not go on.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	places, entrance := make(chan struct{}, maxConnections), hall{of: make(map[netip.Addr]int)}
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !sleep(ctx, time.Second) { // else no descriptors are left, or the like
				return err
			}
			continue
		}
		addr := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !entrance.enter(addr) {
			conn.Close()
			continue
		}
		all.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			s.serve(ctx, conn, places, func(stranger bool) {
				if stranger {
					conn.Close()
					sleep(ctx, strangerPause)
				}
				entrance.leave(addr)
			})
		})
	}
}

// hall is where connections wait until they have shown the key.
type hall struct {
	mu  sync.Mutex // guards the rest
	all int
	of  map[netip.Addr]int
}

// enter reports whether there is room for a connection from an address.
func (h *hall) enter(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= maxStrangers || h.of[a] >= maxOfOne {
		return false
	}
	h.all++
	h.of[a]++
	return true
}

// leave makes room for another.
func (h *hall) leave(a netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all--
	if h.of[a]--; h.of[a] == 0 {
		delete(h.of, a)
	}
}

// serve answers one connection. Known is called once, as soon as it turns out whether the other side is a stranger.
func (s *Server) serve(ctx context.Context, raw net.Conn, places chan struct{}, known func(stranger bool)) {
	log := s.Log.With().Stringer("address", raw.RemoteAddr()).Logger()
	raw.SetDeadline(time.Now().Add(handshakeTime))
	conn := tls.Server(raw, s.TLS)
	var b [RequestSize]byte
	_, err := io.ReadFull(conn, b[:])
	known(err != nil)
	if err != nil {
		log.Debug().Err(err).Msg("catching up: a connection came to nothing")
		return
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return // whoever is refused asks another node, or later
	}
	r, err := ParseRequest(b[:])
	if err == nil && r.Edits {
		sent, err := s.tellEdits(ctx, conn, r)
		log.Debug().Stringer("node", r.ID).Int("bytes", sent).Err(err).Msg("a node was told the changes of lists that it lacked")
		conn.CloseWrite()
		return
	}
	var teller *Teller
	if err == nil {
		teller, err = s.Answer(time.Now(), r)
	}
	if err != nil {
		log.Warn().Err(err).Msg("catching up: a request was refused")
		return
	}
	start, sent := time.Now(), 0
	for b := teller.Next(start); b != nil; b = teller.Next(time.Now()) {
		if err := s.write(ctx, conn, b); err != nil {
			log.Debug().Err(err).Msg("catching up: who asked has gone")
			return
		}
		sent += len(b)
	}
	conn.CloseWrite()
	log.Info().Stringer("node", r.ID).Int("bytes", sent).Dur("ms", time.Since(start)).Msg("catching up: a node was told what it lacked")
}

// write sends a block as the budget has it.
func (s *Server) write(ctx context.Context, conn net.Conn, b []byte) error {
	for len(b) > 0 {
		n := len(b)
		if s.Budget != nil {
			n = min(n, paidPiece)
			for wait := s.Budget(time.Now(), n); wait > 0; wait = s.Budget(time.Now(), n) {
				if !sleep(ctx, min(wait, longestWait)) {
					return ctx.Err()
				}
			}
		}
		conn.SetDeadline(time.Now().Add(stall))
		if _, err := conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sleep waits and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Fetch asks for a stream and hands over its bytes, in pieces of as many as size says, until that says 0.
func Fetch(ctx context.Context, to Dial, cfg *tls.Config, w *Want, request []byte, size func() int, take func(now time.Time, b []byte) error) error {
	if !sleep(ctx, time.Until(w.After)) {
		return ctx.Err()
	}
	conn, end, err := dial(ctx, to, cfg, w.Addr, request)
	if err != nil {
		return err
	}
	defer end()
	buf := make([]byte, 0, fullBlock)
	for n := size(); n > 0; n = size() {
		if cap(buf) < n {
			buf = make([]byte, 0, n)
		}
		if err := readAll(conn, buf[:n]); err != nil {
			return err
		}
		if err := take(time.Now(), buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// readAll fills b. It is given up when nothing comes for a while, not when it takes long: the teller's budget may be small.
func readAll(conn net.Conn, b []byte) error {
	for len(b) > 0 {
		conn.SetDeadline(time.Now().Add(stall))
		n, err := conn.Read(b)
		if b = b[n:]; err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}
