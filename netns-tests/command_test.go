package netnstests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs the program with these arguments on the host, to its end, and
// returns what it printed.
func (h *host) run(args ...string) string {
	t := h.net.t
	t.Helper()
	log := fmt.Sprintf("%s-%s.log", h.name, args[0])
	p := h.start(log, os.Getenv(binaryEnv), args...)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s does not end", p.cmd)
	}
	if p.err != nil {
		t.Errorf("%s: %v", p.cmd, p.err)
	}
	_, out, _ := strings.Cut(h.net.log(t, log), p.cmd.String()+"\n")
	return out
}

// log reads what a program has written so far.
func (n *network) log(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCommandsOnASegment: what an operator looks at a cluster with.
func TestCommandsOnASegment(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "x")
	a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
	x, c := n.hosts["x"], n.hosts["c"]
	dump := c.start("dump.log", os.Getenv(binaryEnv), "dump", "--livesync-interface", "eth0")
	eventually(t, "dump prints a record", func() error {
		peer{x, hash(1), 7001}.announce(a.ip4, 0, "stopped") // which is told each time
		if !strings.Contains(n.log(t, "dump.log"), hash(1)) {
			return fmt.Errorf("it printed %q", n.log(t, "dump.log"))
		}
		return nil
	})
	for _, word := range []string{a.id, a.ip4.String(), x.ip4.String()} {
		if !strings.Contains(n.log(t, "dump.log"), word) {
			t.Errorf("dump does not print %s:\n%s", word, n.log(t, "dump.log"))
		}
	}
	dump.stop(t)
	if sent := n.wire.all(c.sent("")); len(sent) != 0 {
		t.Errorf("dump sent %d packets", len(sent))
	}

	x.run("announce", announceURL("udp", a.ip4), "--info-hash", hash(2), "--port", "7001", "--left", "0")
	x.run("announce", announceURL("http", b.ip4), "--info-hash", hash(2), "--port", "7002", "--left", "1000")
	a.until("hears b", func(s status) error {
		if len(s.Nodes) != 1 {
			return fmt.Errorf("it hears %v", s.Nodes)
		}
		return nil
	})
	if out := x.run("scrape", announceURL("http", b.ip4), hash(2)); !strings.Contains(out, hash(2)) {
		t.Errorf("scrape prints %q", out)
	}
	if out := a.run("status"); !strings.Contains(out, b.id) {
		t.Errorf("status does not name b, %s:\n%s", b.id, out)
	}
	var s status
	if err := json.Unmarshal([]byte(a.run("status", "--json")), &s); err != nil || len(s.Nodes) != 1 || s.Nodes[0].ID != b.id {
		t.Errorf("status --json: %v, nodes %v, want %s", err, s.Nodes, b.id)
	}
}
