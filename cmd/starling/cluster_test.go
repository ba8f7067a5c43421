package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// runningCluster is a `starling cluster` in this process.
type runningCluster struct {
	port int
	text string // what it printed
	end  context.CancelFunc
	code chan int
}

// startCluster starts one on ports that happen to be free.
func startCluster(t *testing.T, n int) *runningCluster {
	t.Helper()
	group := testGroup().String()
	for range 50 {
		port := 20000 + rand.IntN(12000) // which the system gives to nobody who asks for any
		ctx, cancel := context.WithCancel(t.Context())
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := &runningCluster{port: port, end: cancel, code: make(chan int, 1)}
		var stderr bytes.Buffer
		go func() {
			code := run(ctx, []string{"starling", "cluster", "-n", strconv.Itoa(n), "--port", strconv.Itoa(port), "--livesync-group", group}, nil, w, &stderr)
			w.Close()
			c.code <- code
		}()
		out := bufio.NewReader(r)
		for !strings.Contains(c.text, "Ctrl-C") {
			line, err := out.ReadString('\n')
			c.text += line
			if err != nil {
				break
			}
		}
		if strings.Contains(c.text, "Ctrl-C") {
			go io.Copy(io.Discard, out)
			return c
		}
		cancel()
		if code := <-c.code; code != exitUsage || !strings.Contains(stderr.String(), "in use") {
			t.Fatalf("exit code %d, %s", code, &stderr)
		}
	}
	t.Fatal("no free ports")
	return nil
}

// TestCluster: what is announced to one tracker is known at all of them, and the printed addresses are right.
func TestCluster(t *testing.T) {
	c := startCluster(t, 3)
	addr := func(i int) string { return loopback(c.port + i) }
	for i := range 3 {
		for _, want := range []string{"http://" + addr(2*i) + "/announce", "udp://" + addr(2*i), "http://" + addr(2*i+1) + "/"} {
			if !strings.Contains(c.text, want) {
				t.Errorf("%s was not printed", want)
			}
		}
	}
	for i := range 3 {
		await(t, "a tracker sees both others, who have nothing to tell yet", func() bool { return len(nodeStatusOf(t, addr(2*i+1)).Nodes) == 2 })
		s := nodeStatusOf(t, addr(2*i+1))
		if d := s.Livesync.Dropped; s.Livesync.Mode != "keyed" || s.Nodes[0].Mode != "keyed" || d.Auth+d.Replay+d.Plain != 0 {
			t.Errorf("tracker %d is %s, its first node %s, dropped %+v", i+1, s.Livesync.Mode, s.Nodes[0].Mode, d)
		}
	}
	announce(t, "http", addr(0), 6881)
	for _, i := range []int{3, 5} {
		await(t, "the peer is known there", func() bool { return nodeStatusOf(t, addr(i)).Peers.IPv4 > 0 })
	}
	if got := fmt.Sprint(announce(t, "udp", addr(4), 6882)); got != "[127.0.0.1:6881]" {
		t.Errorf("the third tracker tells of %s", got)
	}
	if got := fmt.Sprint(announce(t, "http", addr(2), 6883)); !strings.Contains(got, "127.0.0.1:6881") {
		t.Errorf("the second tracker tells of %s", got)
	}
	if r := inTime(t, "status", "--admin", addr(5)); r.code != exitOK || !strings.Contains(r.stdout, nodeStatusOf(t, addr(1)).TrackerID) {
		t.Errorf("the third does not show the first: %+v", r)
	}
	c.end()
	if code := <-c.code; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestClusterCommands: the lines it tells the user to try are ones the program takes.
func TestClusterCommands(t *testing.T) {
	c := startCluster(t, 1)
	defer func() { c.end(); <-c.code }()
	lines := regexp.MustCompile(`(?m)^   `+regexp.QuoteMeta(programName())+` (.*)$`).FindAllStringSubmatch(strings.ReplaceAll(c.text, "\\\n", ""), -1)
	if len(lines) != 3 {
		t.Fatalf("%d commands in:\n%s", len(lines), c.text)
	}
	for line := range strings.Lines(strings.ReplaceAll(c.text, programName(), "starling")) {
		if len(line) > helpWidth+len("\n")+3 { // three ports stand in a line, here of five digits each
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	for _, line := range lines {
		if r := inTime(t, strings.Fields(line[1])...); r.code != exitOK {
			t.Errorf("starling %s: %+v", line[1], r)
		}
	}
}

// TestClusterPortInUse: one port of the last tracker is taken, so none of them runs.
func TestClusterPortInUse(t *testing.T) {
	why := ""
	for range 50 {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		port := taken.Addr().(*net.TCPAddr).Port
		first := strconv.Itoa(port - 5) // its admin port is the last of the three
		r := inTime(t, "cluster", "--port", first, "--livesync-group", testGroup().String())
		if !strings.Contains(r.stderr, taken.Addr().String()) {
			why = r.stderr
			continue // another port was taken as well
		}
		r.wantUsageError(t, "--port", taken.Addr().String(), "in use")
		if r.stdout != "" {
			t.Errorf("printed %q", r.stdout)
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", first))
		if err != nil {
			continue // the first tracker's port was kept, or somebody else has it now
		}
		ln.Close()
		return
	}
	t.Fatal("no free ports: ", why)
}
