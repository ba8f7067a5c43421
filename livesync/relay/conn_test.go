package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wires are two relays whose frames go through a line each, as through a server: in order, none waits for the other side.
type wires struct {
	a, b  *tunnels
	lines sync.WaitGroup
	mu    sync.Mutex // guards lose
	lose  func(f *frame) bool
	quit  chan struct{}
	ended sync.Once
}

func newWires(t *testing.T) *wires {
	w := &wires{quit: make(chan struct{})}
	line := func(from uint64, to **tunnels) func(uint64, []byte) error {
		frames := make(chan []byte, 1<<16)
		w.lines.Go(func() {
			for {
				select {
				case b := <-frames:
					(*to).heard(from, b)
				case <-w.quit:
					return
				}
			}
		})
		return func(_ uint64, b []byte) error {
			f, err := parseFrame(b)
			if err != nil {
				t.Errorf("%x was sent: %v", b, err)
			}
			w.mu.Lock()
			lost := w.lose != nil && w.lose(&f)
			w.mu.Unlock()
			if !lost {
				frames <- b
			}
			return nil
		}
	}
	w.a = newTunnels(1, line(1, &w.b))
	w.b = newTunnels(2, line(2, &w.a))
	return w
}

func (w *wires) end() {
	w.ended.Do(func() { close(w.quit) })
	w.lines.Wait()
}

// pair returns both ends of a connection.
func (w *wires) pair(t *testing.T) (dialed, accepted net.Conn) {
	t.Helper()
	l := w.b.listen()
	dialed, err := w.a.dial(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

// none checks that nothing is kept of connections that are over.
func (w *wires) none(t *testing.T) {
	t.Helper()
	synctest.Wait()
	for _, tunnels := range []*tunnels{w.a, w.b} {
		tunnels.mu.Lock()
		if n := len(tunnels.conns); n != 0 {
			t.Errorf("relay %d still has %d connections", tunnels.number, n)
		}
		tunnels.mu.Unlock()
	}
}

// TestConn moves many windows both ways at once, in pieces of any size, to the end.
func TestConn(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		defer w.end()
		x, y := w.pair(t)
		var all sync.WaitGroup
		move := func(from, to net.Conn, n int, seed uint64) {
			sent := make([]byte, n)
			rng := rand.New(rand.NewPCG(seed, 1))
			for i := range sent {
				sent[i] = byte(rng.Uint32())
			}
			all.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 2))
				for b := sent; len(b) > 0; {
					n := min(len(b), 1+rng.IntN(3*maxChunk))
					if _, err := from.Write(b[:n]); err != nil {
						t.Errorf("seed %d: %v", seed, err)
						return
					}
					b = b[n:]
				}
			})
			all.Go(func() {
				got := make([]byte, n)
				rng := rand.New(rand.NewPCG(seed, 3))
				for at := 0; at < n; {
					n, err := to.Read(got[at:min(len(got), at+1+rng.IntN(40<<10))])
					if err != nil {
						t.Errorf("seed %d: after %d bytes: %v", seed, at, err)
						return
					}
					at += n
				}
				if !bytes.Equal(got, sent) {
					t.Errorf("seed %d: other bytes came than were sent", seed)
				}
			})
		}
		move(x, y, 5*window+7, seed)
		move(y, x, 2*window+1, seed+1)
		all.Wait()
		x.Close()
		if n, err := y.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
		y.Close()
		w.none(t)
	})
}

// TestWindow: who is not read from waits, having sent a window, and goes on when it is.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		defer w.end()
		x, y := w.pair(t)
		x.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := x.Write(make([]byte, 2*window))
		if n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes left, %v", n, err)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		x.SetWriteDeadline(time.Time{})
		done := make(chan error, 1)
		go func() {
			_, err := x.Write(make([]byte, window))
			x.Close()
			done <- err
		}()
		rest, err := io.ReadAll(y)
		if len(rest) != 2*window || err != nil || <-done != nil {
			t.Errorf("%d bytes came, %v", len(rest), err)
		}
		y.Close()
		w.none(t)
	})
}

// TestDeadline: a read ends at its deadline, at one that is set while it waits, and when the connection is closed.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		defer w.end()
		x, y := w.pair(t)
		b := make([]byte, 1)
		start := time.Now()
		x.SetDeadline(start.Add(time.Second))
		if _, err := x.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		x.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { x.SetReadDeadline(time.Now().Add(time.Second)) })
		if _, err := x.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		x.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { x.Close() })
		if _, err := x.Read(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if _, err := x.Write(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if _, err := y.Read(b); err != io.EOF {
			t.Errorf("the other side: %v", err)
		}
		y.Close()
		w.none(t)
	})
}

// TestLoss: whichever frame is lost, what is read is a part of what was sent, and the end is clean only when all of it is.
func TestLoss(t *testing.T) {
	const size = 3*maxChunk + 5
	whole := 0
	for lost := range 12 {
		synctest.Test(t, func(t *testing.T) {
			w := newWires(t)
			defer w.end()
			n := 0
			w.lose = func(*frame) bool { n++; return n == lost }
			l := w.b.listen()
			x, err := w.a.dial(context.Background(), 2)
			if err != nil {
				t.Fatal(err)
			}
			x.SetDeadline(time.Now().Add(time.Second))
			go func() {
				x.Write(make([]byte, size))
				x.Close()
			}()
			synctest.Wait()
			time.AfterFunc(2*time.Second, func() { l.Close() })
			y, err := l.Accept()
			if err != nil {
				return // it was the first
			}
			y.SetDeadline(time.Now().Add(time.Second))
			got, err := io.ReadAll(y)
			if err == nil && len(got) != size {
				t.Errorf("frame %d lost: a clean end after %d bytes", lost, len(got))
			}
			if err == nil {
				whole++
			}
			y.Close()
			w.none(t)
		})
	}
	if whole < 6 {
		t.Errorf("only %d of 12 were whole: the loss is not where it should be", whole)
	}
}

// TestNobodyThere: who is not there, does not listen or has no room does not keep anybody waiting.
func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		defer w.end()
		refused := func(why string) {
			t.Helper()
			c, err := w.a.dial(context.Background(), 2)
			if err != nil {
				t.Fatalf("%s: %v", why, err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errReset) {
				t.Errorf("%s: %v", why, err)
			}
			c.Close()
		}
		refused("nobody listens")
		l := w.b.listen()
		var conns []net.Conn
		for range maxBacklog {
			c, err := w.a.dial(context.Background(), 2)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		synctest.Wait()
		refused("no room")
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		for _, c := range conns {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("never accepted: %v", err)
			}
			c.Close()
		}
		refused("closed")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.a.dial(ctx, 2); err == nil {
			t.Error("dialed after the end")
		}
		w.none(t)
	})
}

// TestCutOff ends all connections on one side, and the other side by the first frame that finds none.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		defer w.end()
		x, y := w.pair(t)
		w.a.cutOff()
		if _, err := x.Read(make([]byte, 1)); !errors.Is(err, errCutOff) {
			t.Error(err)
		}
		y.Write([]byte("x"))
		if _, err := y.Read(make([]byte, 1)); !errors.Is(err, errReset) {
			t.Error(err)
		}
		x.Close()
		y.Close()
		w.none(t)
	})
}

// TestBounds: no more connections than there may be, whoever dials.
func TestBounds(t *testing.T) {
	silent := newTunnels(1, func(uint64, []byte) error { return nil })
	for range maxConns {
		if _, err := silent.dial(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := silent.dial(context.Background(), 2); !errors.Is(err, errTooMany) {
		t.Error(err)
	}
	silent.listen()
	silent.heard(3, (&frame{kind: frameOpen, conn: 9}).append(nil))
	if len(silent.conns) != maxConns {
		t.Errorf("%d connections", len(silent.conns))
	}
}
