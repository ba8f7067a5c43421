package netnstests

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// director sends a request about an on-demand tracker to the node's admin
// address, from the node's own host.
func (n *node) director(method, path string, status int) string {
	n.t.Helper()
	resp, body := n.admin(method, "director/"+path, "")
	if resp.StatusCode != status {
		n.t.Errorf("%s: %s %s: %s, %s", n.name, method, path, resp.Status, body)
	}
	return string(body)
}

// admin sends a request to the API at the node's admin address, from the node's own host, and returns the answer with its body.
func (n *node) admin(method, path, body string) (*http.Response, []byte) {
	n.t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1:6970/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.httpClient().Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp, answer
}

// announceAs announces a client over HTTP to whichever tracker of a node has a host name.
func (p peer) announceAs(at netip.Addr, name string) (a answer) {
	p.net.t.Helper()
	raw, err := hex.DecodeString(p.hash)
	if err != nil {
		p.net.t.Fatal(err)
	}
	query := url.Values{"info_hash": {string(raw)}, "port": {fmt.Sprint(p.port)}, "left": {"1"}}
	req, err := http.NewRequest("GET", fmt.Sprintf("http://%s/announce?%s", netip.AddrPortFrom(at, 6969), query.Encode()), nil)
	if err != nil {
		p.net.t.Fatal(err)
	}
	req.Host = name
	resp, err := p.httpClient().Do(req)
	if err != nil {
		p.net.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = bencode.Unmarshal(body, &a)
	}
	if err != nil || a.Failure != "" {
		p.net.t.Fatalf("announce at %s: %v %s", name, err, a.Failure)
	}
	return a
}

// TestDirectors: an on-demand tracker that was made on two hosts is one, apart
// from the nodes' own; it outlives a power failure and is gone when it is removed.
func TestDirectors(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	x := func(port int) peer { return peer{n.hosts["x"], hash(1), uint16(port)} }
	state := filepath.Join(n.dir, "b-state")
	a := n.hosts["a"].serve("--state-dir", filepath.Join(n.dir, "a-state"))
	b := n.hosts["b"].serve("--state-dir", state)
	for _, node := range []*node{a, b} {
		node.director("PUT", "films?hostname=films.example", http.StatusCreated)
	}
	counts := func(what string, at *node, name string, port, want int) {
		t.Helper()
		eventually(t, what, func() error {
			if got := x(port).announceAs(at.ip4, name).Incomplete; got != int64(want) {
				return fmt.Errorf("%d leechers, want %d", got, want)
			}
			return nil
		})
	}
	x(7001).announceAs(a.ip4, "films.example")
	x(7002).announceAs(a.ip4, "Films.Example:6969")
	x(7003).announceAs(a.ip4, a.ip4.String())
	counts("b knows both clients of films", b, "films.example", 7004, 3)
	counts("b knows the client of its own tracker", b, "other.example", 7005, 2)

	// sha256sum of films begins with db94, and 0xdb94 mod 20000 is 16212.
	there := netip.AddrPortFrom(group.Addr(), 36212)
	told := n.wire.all(func(f frame) bool { return f.dst == there && f.src.Addr() == a.ip4 })
	if len(told) == 0 {
		t.Error("a has told nothing to the group of films")
	}
	for _, f := range told {
		if f.syncErr != nil || f.ttl != 1 || f.mac != groupMAC(there.Addr()) {
			t.Errorf("to the group of films: %x, TTL %d, %v", f.mac, f.ttl, f.syncErr)
		}
	}

	b.kill()
	b = b.serve("--state-dir", state)
	x(7006).announceAs(a.ip4, "films.example")
	counts("b has films again, and hears of a client", b, "films.example", 7007, 2)
	b.director("DELETE", "films", http.StatusNoContent)
	counts("b answers for films by itself", b, "films.example", 7008, 1)
	b.stop()
	b = b.serve("--state-dir", state)
	b.director("GET", "films", http.StatusNotFound)
}
