package tracker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestPaceLater: a server that was not paced is, from the next request of each connection on, also of those that were open; and is not again.
func TestPaceLater(t *testing.T) {
	p := newPacing(t, PacingConfig{}, time.Now())
	s := NewHTTP(New(testConfig, time.Now()), HTTPConfig{})
	lns, err := ListenHTTP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	ln := lns[0]
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 2)
	go func() { served <- s.Serve(ctx, ln) }()
	go func() { served <- p.Run(ctx) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	announce := func(n int) {
		t.Helper()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=%d HTTP/1.1\r\nHost: x\r\n\r\n", n)
		for line := ""; !strings.HasPrefix(line, "Content-Length: "); {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if length, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				var n int64
				fmt.Sscan(length, &n)
				if _, err := io.CopyN(io.Discard, r, n+2); err != nil { // an empty line, and the body
					t.Fatal(err)
				}
			}
		}
	}
	announce(1)
	if n := p.answered(); n != 0 {
		t.Errorf("%d requests were paced before", n)
	}
	s.Pace(p)
	announce(2)
	if n := p.answered(); n != 1 {
		t.Errorf("%d requests are paced, want 1", n)
	}
	if err := p.SetRate(time.Now(), 1_000_000); err != nil {
		t.Fatal(err)
	}
	announce(3)
	if spent := p.Stats(time.Now()).Bytes[0].Spent; spent == 0 {
		t.Error("an answer cost nothing")
	}
	paced := p.answered()
	s.Pace(nil)
	announce(4)
	if n := p.answered(); n != paced {
		t.Error("a request is paced after the end of it")
	}
	cancel()
	for range 2 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
