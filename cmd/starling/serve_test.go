package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/livesync"
	"starling/tracker/client"
	"starling/wire"
)

// patience bounds every wait of a test for another goroutine; none needs nearly as long.
const patience = 2 * time.Minute

// serving is a `starling serve` that runs in this process.
type serving struct {
	servingLine
	end  context.CancelFunc // as a signal does
	done chan result        // what it left behind, without the log
}

// serve starts the program with these flags and returns once it serves, on ports the system chose.
func serve(t *testing.T, flags ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{end: cancel, done: make(chan result, 1)}
	args := append([]string{"starling", "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, flags...)
	go func() {
		var stdout bytes.Buffer
		code := run(ctx, args, nil, &stdout, w)
		w.Close()
		s.done <- result{code: code, stdout: stdout.String()}
	}()
	log := bufio.NewReader(r)
	s.servingLine = awaitServing(t, log)
	go io.Copy(io.Discard, log)
	t.Cleanup(func() { s.wait(t) })
	return s
}

// wait ends the program and fails the test unless it ended well.
func (s *serving) wait(t *testing.T) {
	t.Helper()
	s.end()
	select {
	case r := <-s.done:
		if r != (result{}) {
			t.Errorf("ended with %+v", r)
		}
		s.done <- r
	case <-time.After(patience):
		t.Fatal("serve does not end")
	}
}

// announce announces a client of exampleHash and returns the peers it is told of.
func announce(t *testing.T, scheme, addr string, port uint16) []client.Peer {
	t.Helper()
	u, err := client.ParseURL(scheme + "://" + addr + "/announce")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := wire.ParseInfoHash(exampleHash)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var c client.Client
	reply, err := c.Announce(ctx, u, &client.Announce{InfoHash: hash, Port: port, Left: 1, NumWant: -1})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Peers
}

// TestServe: what is announced over one protocol is handed out over the other, and the status counts it.
func TestServe(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--tracker-id", "7f3a91c2")
	if s.TrackerID != "7f3a91c2" {
		t.Errorf("the id is %s", s.TrackerID)
	}
	announce(t, "http", s.HTTP[0], 6881)
	if got := fmt.Sprint(announce(t, "udp", s.UDP[0], 6882)); got != "[127.0.0.1:6881]" {
		t.Errorf("over UDP: got %s", got)
	}
	st := nodeStatusOf(t, s.Admin)
	if st.TrackerID != "7f3a91c2" || !st.Ready || st.Torrents != 1 || st.Peers.IPv4 != 2 || st.Leechers != 2 ||
		st.Announces != (protocolCounts{1, 1}) || st.Livesync.Mode != "off" || st.Listen.Admin != s.Admin {
		t.Errorf("status %+v", st)
	}
	if r := inTime(t, "status", "--admin", s.Admin); r.code != exitOK || !strings.Contains(r.stdout, "Node 7f3a91c2, ready") {
		t.Errorf("status: %+v", r)
	}
}

// TestPortInUse: whichever socket cannot be had, the error names its flag and
// port, and the sockets that were bound before are given back.
func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	free, err := net.Listen("tcp", "127.70.11.6:0") // an address that nobody else is likely to use
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	wildcard, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer wildcard.Close()
	group := fmt.Sprintf("239.1.2.3:%d", wildcard.LocalAddr().(*net.UDPAddr).Port)
	for flag, addr := range map[string]string{
		"http": taken.Addr().String(), "udp": packets.LocalAddr().String(), "admin": taken.Addr().String(), "livesync-group": group,
	} {
		args := []string{"serve", "--http", free.Addr().String(), "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--livesync-interface", "lo"}
		inTime(t, append(silentFlag(args, flag), "--"+flag, addr)...).wantUsageError(t, "--"+flag, addr, "in use")
		again, err := net.Listen("tcp", free.Addr().String())
		if err != nil {
			t.Fatalf("after --%s: the first port was kept: %v", flag, err)
		}
		again.Close()
	}
}

// TestCannotListen: an address of another host is refused as such.
func TestCannotListen(t *testing.T) {
	const elsewhere = "203.0.113.77:6969" // an address for documentation
	for _, flag := range []string{"http", "udp", "admin"} {
		invoke(t, nil, silentBut(flag, "--"+flag, elsewhere)...).wantUsageError(t, "--"+flag, elsewhere, "does not have the address")
	}
}

// silentFlag returns args without a flag and its value.
func silentFlag(args []string, flag string) []string {
	for i, a := range args {
		if a == "--"+flag {
			return append(args[:i:i], args[i+2:]...)
		}
	}
	return args
}

// TestRequestInHand: a request that arrives with the signal is answered before the program ends.
func TestRequestInHand(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := serve(t, "--livesync-interface", "none")
		conn, err := net.Dial("tcp", s.HTTP[0])
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=6881 HTTP/1.1\r\nHost: x\r\n\r\n")
		await(t, "the node's system has the request", func() bool { return unsent(t, conn) == 0 })
		s.end()
		conn.SetReadDeadline(time.Now().Add(patience))
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(answer, []byte("e")) {
			t.Fatalf("got %q, %v", answer, err)
		}
		s.wait(t)
		conn.Close()
	}
}

// unsent returns how many bytes of a connection the other end's system does not have yet.
func unsent(t *testing.T, conn net.Conn) (n int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testGroup returns a group that no other test on this machine is likely to use, with a port that the system gives to nobody who asks for any.
func testGroup() netip.AddrPort {
	r := rand.Uint64()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, byte(r), byte(r >> 8), byte(r >> 16)}), uint16(20000+r>>32%10000))
}

// TestLastBatch: what was announced before the end is told to the other nodes although its packet was not due for a minute.
func TestLastBatch(t *testing.T) {
	group := testGroup()
	conn, err := livesync.Listen(group, "lo")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := serve(t, "--livesync-interface", "lo", "--livesync-group", group.String(), "--livesync-flush", "1m", "--livesync-node", "127.0.0.0/8")
	announce(t, "http", s.HTTP[0], 6881)
	s.wait(t)
	stop := time.AfterFunc(patience, func() { conn.Close() })
	defer stop.Stop()
	var b [wire.MaxPacket]byte
	n, _, _, err := conn.Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.ParsePacket(b[:n])
	if err != nil || p.Len() != 1 || p.Record(0).Peer.String() != "127.0.0.1:6881" || p.From.String() != s.TrackerID {
		t.Errorf("got %x: %+v, %v", b[:n], p, err)
	}
}

// nodeStatusOf asks a node for its status.
func nodeStatusOf(t *testing.T, admin string) status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := adminTarget{addr: admin}.status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var s status
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestServesEverywhere: a list of addresses is served on all of them.
func TestServesEverywhere(t *testing.T) {
	s := serve(t, "--http", "[::1]:0", "--udp", "[::1]:0,127.0.0.2:0", "--livesync-interface", "none")
	if len(s.HTTP) != 2 || len(s.UDP) != 3 {
		t.Fatalf("serves on %v and %v", s.HTTP, s.UDP)
	}
	port := uint16(6881)
	for _, addr := range s.HTTP {
		announce(t, "http", addr, port)
		port++
	}
	for _, addr := range s.UDP {
		announce(t, "udp", addr, port)
		port++
	}
	if st := nodeStatusOf(t, s.Admin); st.Peers != (familyCounts{3, 2}) {
		t.Errorf("peers %+v", st.Peers)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/"} {
		res, err := http.Get("http://" + s.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// TestWarnings: what may be meant but rarely is gets said, and serving goes on.
func TestWarnings(t *testing.T) {
	r := invoke(t, nil, "serve", "--http", "none", "--udp", "none", "--admin", "none", "--livesync-interface", "none", "--peer-timeout", "10s")
	if r.code != exitOK || !strings.Contains(r.stderr, `peer-timeout is 10s and interval 30m`) {
		t.Errorf("got %+v", r)
	}
}
