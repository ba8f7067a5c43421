package netnstests

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An auditLine is what the tests read of a line of a node's audit log.
type auditLine struct {
	List, Op, Key, Node string
	Who                 *struct{ Address string }
}

// audited returns the lines of the audit log in a state directory.
func audited(t *testing.T, dir string) (lines []auditLine) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var x auditLine
		if err := json.Unmarshal(line, &x); err != nil {
			return nil // it is being written
		}
		lines = append(lines, x)
	}
	return lines
}

// change asks a node to change a list; the entry is the body of the request.
func (n *node) change(method, list, entry string) {
	n.t.Helper()
	resp, body := n.admin(method, list, entry)
	var a struct{ Shared, Kept bool }
	err := json.Unmarshal(body, &a)
	if err != nil || resp.StatusCode != http.StatusOK || !a.Shared || !a.Kept {
		n.t.Fatalf("%s %s: %s %s %v", method, list, resp.Status, body, err)
	}
}

// said announces a peer with a passkey and returns what the client is told, or why it is told nothing.
func (p peer) said(at netip.Addr, passkey string) answer {
	p.net.t.Helper()
	raw, err := hex.DecodeString(p.hash)
	if err != nil {
		p.net.t.Fatal(err)
	}
	var a answer
	query := url.Values{"info_hash": {string(raw)}, "port": {strconv.Itoa(int(p.port))}, "left": {"1"}}
	if err := p.get(at, "/"+passkey+"/announce", query, &a); err != nil {
		a.Failure = err.Error()
	}
	return a
}

// refused waits until nodes tell a client of a torrent that.
func (c *cluster) refused(hash, passkey, reason string) {
	c.t.Helper()
	for _, n := range c.nodes {
		eventually(c.t, n.name+" says "+reason, func() error {
			if a := (peer{c.hosts["x"], hash, 7001}).said(n.ip4, passkey); !strings.Contains(a.Failure, reason) {
				return fmt.Errorf("it says %q", a.Failure)
			}
			return nil
		})
	}
}

// TestListsReachAll: three nodes in private mode. A torrent is denied at one of them and a passkey revoked at another: the node that was asked obeys at once and
// the others in seconds, the torrent's peers are gone everywhere, and the audit log of each has both changes. A node that is started anew alone has forgotten neither.
func TestListsReachAll(t *testing.T) {
	const alice, bob = "alice-passkey", "bob-passkey"
	net := newNetwork(t, "a", "b", "c", "x")
	keys := net.keyFile("passkeys", alice+" Alice\n", bob+" Bob\n")
	c := &cluster{network: net, key: net.keyFile("key", net.newKey())}
	flags := func(name string) []string {
		return []string{"--passkeys", keys, "--state-dir", filepath.Join(net.dir, "state-"+name)}
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(net.dir, "state-"+name), 0o700); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, c.serve(name, flags(name)...))
	}
	for _, n := range c.nodes {
		n.meets(2)
	}
	for i := range 4 { // half of them in the torrent that is going to be denied
		if a := (peer{net.hosts["x"], hash(i % 2), uint16(7001 + i)}).said(c.nodes[i%3].ip4, alice); a.Failure != "" {
			t.Fatal(a.Failure)
		}
	}
	c.allHold(4, patience)

	begin := time.Now()
	c.nodes[0].change("PUT", "deny", hash(1)+"\n")
	if a := (peer{net.hosts["x"], hash(1), 7001}).said(c.nodes[0].ip4, bob); !strings.Contains(a.Failure, "denied") {
		t.Errorf("the node that was asked says %q", a.Failure)
	}
	c.refused(hash(1), bob, "denied")
	c.allHold(2, patience)
	t.Logf("denied by all, and gone from all, after %v", time.Since(begin))

	begin = time.Now()
	c.nodes[1].change("DELETE", "passkeys", alice)
	if a := (peer{net.hosts["x"], hash(0), 7001}).said(c.nodes[1].ip4, alice); !strings.Contains(a.Failure, "revoked") {
		t.Errorf("the node that was asked says %q", a.Failure)
	}
	c.refused(hash(0), alice, "revoked")
	t.Logf("revoked by all after %v", time.Since(begin))
	if a := (peer{net.hosts["x"], hash(0), 7001}).said(c.nodes[2].ip4, bob); a.Failure != "" {
		t.Errorf("another passkey: %s", a.Failure)
	}

	for _, n := range c.nodes {
		dir := filepath.Join(net.dir, "state-"+n.name)
		eventually(t, n.name+" has both changes in its audit log", func() error {
			if lines := audited(t, dir); len(lines) != 2 {
				return fmt.Errorf("it has %+v", lines)
			}
			return nil
		})
		for i, line := range audited(t, dir) {
			made := c.nodes[i]
			if want := [][3]string{{"deny", "add", hash(1)}, {"passkeys", "remove", line.Key}}[i]; [3]string{line.List, line.Op, line.Key} != want ||
				line.Node != made.id || (line.Who != nil) != (n == made) || strings.Contains(line.Key, "alice") {
				t.Errorf("line %d of %s: %+v", i, n.name, line)
			}
		}
	}

	c.nodes[0].stop()
	c.nodes[1].stop()
	c.nodes[2].kill()
	c.nodes = []*node{net.hosts["c"].launch(append(flags("c"), "--cluster-key-file", c.key)...)}
	c.refused(hash(1), bob, "denied")
	c.refused(hash(0), alice, "revoked")
	if n := len(audited(t, filepath.Join(net.dir, "state-c"))); n != 2 {
		t.Errorf("%d lines in the audit log after the restart", n)
	}
}
