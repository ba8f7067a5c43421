package tracker

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKeep: connections that are open when a server ends are gone on with by the next one, wherever they are in a conversation, whether
// each has a goroutine, as with pacing, or none. Nobody is told that an answer is the last one.
func TestKeep(t *testing.T) {
	for name, paced := range map[string]bool{"plain": false, "paced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			store := New(testConfig, now)
			serve := func(kept []Kept) (s *HTTP, where string, end func()) {
				t.Helper()
				lns, err := ListenHTTP("127.0.0.1:0", 2)
				if err != nil {
					t.Fatal(err)
				}
				var cfg HTTPConfig
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error)
				loops := len(lns)
				if paced {
					cfg.Pacing = newPacing(t, PacingConfig{AnnounceRate: 1000}, now)
					go func() { ended <- cfg.Pacing.Run(ctx) }()
					loops++
				}
				s = NewHTTP(store, cfg)
				s.Adopt(kept, len(lns))
				for _, ln := range lns {
					go func() { ended <- s.Serve(ctx, ln) }()
				}
				return s, lns[0].Addr().String(), func() {
					t.Helper()
					cancel()
					for range loops {
						if err := <-ended; err != nil {
							t.Error(err)
						}
					}
					if n := s.Connections(); n != 0 {
						t.Errorf("%d connections have a place", n)
					}
				}
			}
			s, where, end := serve(nil)
			conns := make([]net.Conn, 20)
			request := get(announceTarget(1))
			receive := func(i int) {
				t.Helper()
				a, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
				if err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				if body, err := io.ReadAll(a.Body); err != nil || a.StatusCode != 200 || a.Close {
					t.Errorf("connection %d: %+v, %q, %v", i, a, body, err)
				}
			}
			cut := func(i int) int { return len(request) * i / len(conns) } // of the request that is under way meanwhile; 0: none is
			for i := range conns {
				c, err := net.Dial("tcp", where)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				conns[i] = c
				io.WriteString(c, request)
				receive(i)
				io.WriteString(c, request[:cut(i)])
			}
			s.Keep()
			end()
			kept := s.Kept()
			if len(kept) != len(conns) || s.Kept() != nil {
				t.Fatalf("%d connections of %d are kept", len(kept), len(conns))
			}
			_, _, end = serve(kept)
			for i, c := range conns {
				io.WriteString(c, request[cut(i):])
				receive(i)
			}
			end()
			if _, err := conns[0].Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%v after the end", err)
			}
		})
	}
}

// TestKeepBounds: what cannot be kept is closed.
func TestKeepBounds(t *testing.T) {
	pair := func() (fd int, open func() bool) {
		t.Helper()
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[1]) })
		return fds[0], func() bool {
			_, err := unix.Write(fds[1], []byte("x"))
			return err == nil
		}
	}
	var s HTTP
	first, firstOpen := pair()
	second, secondOpen := pair()
	third, thirdOpen := pair()
	s.keeping.keep(first, make([]byte, keptBytes))
	s.keeping.keep(second, []byte("G"))
	s.keeping.keep(third, nil)
	if !firstOpen() || secondOpen() || !thirdOpen() {
		t.Errorf("open: %v, %v, %v", firstOpen(), secondOpen(), thirdOpen())
	}
	kept := s.Kept()
	if len(kept) != 2 {
		t.Errorf("%d connections", len(kept))
	}
	s.Adopt(kept, 0)
	if firstOpen() || thirdOpen() || s.keeping.deal() != nil {
		t.Error("without a listener they are open")
	}
}
