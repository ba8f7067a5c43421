package tracker

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starling/wire"
)

// startHTTP serves on a listener until the test ends, and checks that it ends well.
func startHTTP(t testing.TB, addr string) (s *HTTP, where string) {
	t.Helper()
	lns, err := ListenHTTP(addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	ln := lns[0]
	s = NewHTTP(New(testConfig, time.Now()), HTTPConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

// The standard library's client, which keeps its connection and dislikes whatever is not HTTP, is served.
func TestHTTPWithStandardClient(t *testing.T) {
	s, where := startHTTP(t, "127.0.0.1:0")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := range 20 {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			request, err := http.NewRequest(method, "http://"+where+announceTarget(1), nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			want := map[string]int{"GET": 200, "HEAD": 200, "POST": 405}[method]
			if err != nil || answer.StatusCode != want || (len(body) == 0) != (method == "HEAD") {
				t.Errorf("%s %d: %d, %q, %v", method, i, answer.StatusCode, body, err)
			}
		}
	}
	if c := s.Counts(); c.Announces != 40 || c.Refused["method"] != 20 {
		t.Errorf("counts %+v", c)
	}
	if n := s.Counts().Connects; n > 22 {
		t.Errorf("%d connections for 40 announces and 20 refusals", n)
	}
}

// A client that is refused gets to read why, although the server reads no further.
func TestHTTPRefusalIsReceived(t *testing.T) {
	_, where := startHTTP(t, "127.0.0.1:0")
	for name, request := range map[string]string{
		"431": get("/announce", "A: "+strings.Repeat("x", 100<<10)+"\r\n"),
		"413": get("/announce", "Content-Length: 100000\r\n") + strings.Repeat("x", 100000),
	} {
		c, err := net.Dial("tcp", where)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+name) {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		c.Close()
	}
}

func TestListenHTTPOptions(t *testing.T) {
	lns, err := ListenHTTP("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	ln := lns[0]
	defer ln.Close()
	options := func(c syscall.Conn) (protocol, deferAccept, keepAlive int) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			protocol, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PROTOCOL)
			deferAccept, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT)
			keepAlive, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		})
		return protocol, deferAccept, keepAlive
	}
	if protocol, deferAccept, _ := options(ln.(*net.TCPListener)); protocol != syscall.IPPROTO_TCP || deferAccept == 0 {
		t.Errorf("listener: protocol %d, TCP_DEFER_ACCEPT %d", protocol, deferAccept)
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	io.WriteString(client, "x")
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, _, keepAlive := options(server.(*net.TCPConn)); keepAlive != 0 {
		t.Error("keep-alive probes are on")
	}
}

// TestListenHTTPShared: listeners share an address, the system deals connections out between all of them, and nobody else gets it.
func TestListenHTTPShared(t *testing.T) {
	lns, err := ListenHTTP("127.0.0.1:0", 3)
	if err != nil {
		t.Fatal(err)
	}
	where := lns[0].Addr().String()
	if another, err := ListenHTTP(where, 3); err == nil {
		t.Errorf("another program has %d listeners of the same address", len(another))
	}
	const clients = 100
	came := make(chan int, clients)
	var all sync.WaitGroup
	for i, ln := range lns {
		all.Go(func() {
			for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
				c.Close()
				came <- i
			}
		})
	}
	for range clients {
		c, err := net.Dial("tcp", where)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "x")
	}
	var got [3]int
	for range clients {
		got[<-came]++
	}
	for i, ln := range lns {
		if ln.Close(); got[i] == 0 {
			t.Errorf("of %d connections %v came to each", clients, got)
		}
	}
	all.Wait()
}

// Which families are listened on follows from the host.
func TestListenFamilies(t *testing.T) {
	for addr, network := range map[string]string{
		":1": "tcp", "[::]:1": "tcp", "localhost:1": "tcp", "0.0.0.0:1": "tcp4", "127.0.0.1:1": "tcp4", "[::1]:1": "tcp", "nonsense": "tcp",
	} {
		if got := listenNetwork("tcp", addr); got != network {
			t.Errorf("%s: %s, want %s", addr, got, network)
		}
	}
	_, where := startHTTP(t, "0.0.0.0:0")
	if !strings.HasPrefix(where, "0.0.0.0:") {
		t.Errorf("0.0.0.0 listens on %s", where)
	}
	for _, addr := range []string{where, "192.0.2.1:0", "nonsense", ":99999"} {
		if lns, err := ListenHTTP(addr, 1); err == nil {
			lns[0].Close()
			t.Errorf("listens on %s", addr)
		}
	}
}

// BenchmarkHTTPLoopback is one announce over a kept connection, there and back, server and client
// on one machine.
func BenchmarkHTTPLoopback(b *testing.B) {
	s, where := startHTTP(b, "127.0.0.1:0")
	fill(s.tracker, wire.InfoHash{1}, 50, true, false)
	c, err := net.Dial("tcp", where)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request, buf := []byte(get(announceTarget(1))), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
