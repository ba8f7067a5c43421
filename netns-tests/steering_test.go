package netnstests

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pacing is what the tests read of the status about pacing.
type pacing struct {
	Rate     int64
	Uplink   struct{ Members []struct{ ID string } }
	Siblings []struct {
		Up, Room bool
		Trouble  string
	}
}

// scarce is a configuration that serves next to nobody: who finds no tokens waits for a tenth of a second.
const scarce = `
announce-rate = "1/s"
[[class]]
name = "all"
rate = "100%"
wait = "100ms"
match = {event = ["started", "completed", "stopped", "regular", "scrape", "bulk"]}
`

// steer starts a tracker with the admin address open to the segment, as its siblings need it.
func (h *host) steer(flags ...string) *node {
	h.net.t.Helper()
	return h.serve(append(flags, "--admin", "0.0.0.0:6970")...)
}

// siblingOf are the flags that make a host a sibling.
func siblingOf(h *host) []string {
	return []string{"--sibling", fmt.Sprintf("%s=http://%s/healthz", announceURL("http", h.ip4), netip.AddrPortFrom(h.ip4, 6970))}
}

// outcome is what clients were told that asked at the same time.
type outcome struct {
	answers int
	sentTo  []string // addresses they were sent to
}

// crowd lets so many clients of a host announce at once, and follows nobody.
func (h *host) crowd(clients int, target string) (o outcome) {
	t := h.net.t
	t.Helper()
	c := h.httpClient()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			resp, err := c.Get(fmt.Sprintf("%s&port=%d", target, 7000+i))
			if err != nil {
				t.Errorf("client %d of %s: %v", i, h.name, err)
				return
			}
			resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			switch resp.StatusCode {
			case http.StatusOK:
				o.answers++
			case http.StatusFound:
				o.sentTo = append(o.sentTo, resp.Header.Get("Location"))
			default:
				t.Errorf("client %d of %s: %s", i, h.name, resp.Status)
			}
		})
	}
	all.Wait()
	return o
}

// target is the announce URL of a node with a query that lacks the port.
func (n *node) target() string {
	raw, _ := hex.DecodeString(hash(1))
	return announceURL("http", n.ip4) + "?info_hash=" + url.QueryEscape(string(raw)) + "&left=1"
}

// portOf is the part of an announce URL that a crowd gives each of its clients.
var portOf = regexp.MustCompile("&port=[0-9]+")

// TestRedirects: a node without tokens sends clients to its sibling, while that is up and has room, once each; both are siblings of
// each other here and have no tokens in the end, and no client is ever sent twice.
func TestRedirects(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	file := filepath.Join(n.dir, "scarce.toml")
	if err := os.WriteFile(file, []byte(scarce), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := func(other string, more ...string) []string {
		return append(append(siblingOf(n.hosts[other]), "--redirect"), more...)
	}
	a := n.hosts["a"].steer(flags("b", "--config", file)...)
	b := n.hosts["b"].steer(flags("a", "--config", file)...)
	x := n.hosts["x"]
	sent := func(what string, want bool) (o outcome) {
		t.Helper()
		o = x.crowd(20, a.target())
		if o.answers+len(o.sentTo) != 20 || want != (len(o.sentTo) > 0) {
			t.Errorf("%s: %d answers, %d are sent on", what, o.answers, len(o.sentTo))
		}
		return o
	}
	sibling := func(at *node, what string, up, room bool) {
		t.Helper()
		at.until(what, func(s status) error {
			if got := s.Pacing.Siblings[0]; got.Up != up || got.Room != room {
				return fmt.Errorf("up %t, room %t, %s", got.Up, got.Room, got.Trouble)
			}
			return nil
		})
	}

	sibling(a, "b is up", true, true)
	sibling(b, "a is up", true, true)
	was := b.now().Peers.IPv4
	for _, to := range sent("b has room", true).sentTo {
		if !strings.HasPrefix(to, announceURL("http", b.ip4)+"?") || !strings.Contains(to, "info_hash=") {
			t.Fatalf("sent to %s", to)
		}
		if o := x.crowd(3, portOf.ReplaceAllString(to, "")); len(o.sentTo) != 0 {
			t.Fatalf("a client that was sent to b was sent on to %s", o.sentTo)
		}
	}
	if now := b.now().Peers.IPv4; now <= was {
		t.Errorf("b knows %d clients, and %d before it was sent some", now, was)
	}
	sibling(a, "b says that it has no room", true, false) // by now it has no tokens either
	sent("b has no room", false)
	b.kill()
	sibling(a, "b is down", false, false)
	sent("b is dead", false)
}

// TestUplink: three nodes share what they may send together. A node that dies leaves its part to the others after a hold-down, one
// that comes gets it at once, and as soon as they have heard of each other they have together no more than there is.
func TestUplink(t *testing.T) {
	const total = 90_000_000
	n := newNetwork(t, "a", "b", "c")
	flags := append(slices.Clone(quick), "--uplink", "90MB/s")
	nodes := make(map[string]*node)
	for name := range n.hosts {
		nodes[name] = n.hosts[name].serve(flags...)
	}
	// shares waits until the nodes have these shares, and watches the sum meanwhile.
	shares := func(what string, want map[string]int64) {
		t.Helper()
		eventually(t, what, func() error {
			got, sum, known := make(map[string]int64), int64(0), true
			for name := range want {
				p := nodes[name].now().Pacing
				got[name] = p.Rate
				sum += p.Rate
				known = known && len(p.Uplink.Members) >= len(want)
			}
			if known && sum > total { // one that just started takes a quarter before the others hear it
				t.Errorf("%s: together they have %d: %v", what, sum, got)
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("they have %v", got)
			}
			return nil
		})
	}
	const third, half = total / 3, total / 2
	shares("three", map[string]int64{"a": third, "b": third, "c": third})

	nodes["c"].kill()
	died := time.Now()
	shares("one is dead", map[string]int64{"a": half, "b": half})
	// Three intervals until it counts as gone, and three for the hold-down.
	if after := time.Since(died); after < 4*interval {
		t.Errorf("its part was taken after %v", after)
	}
	nodes["c"] = n.hosts["c"].serve(flags...)
	shares("it is back", map[string]int64{"a": third, "b": third, "c": third})

	// Without a key nobody knows its role: it leaves them the uplink, and they leave it its part.
	nodes["c"].stop()
	nodes["c"] = n.hosts["c"].serve(append(flags, "--role", "standby")...)
	shares("it stands by", map[string]int64{"a": third, "b": third, "c": total / 100})

	for _, name := range []string{"a", "b"} {
		nodes[name].kill()
	}
	shares("it is alone", map[string]int64{"c": total})
}

// probes counts the health checks that come to a host, by who makes them. Its answer can be changed.
type probes struct {
	mu     sync.Mutex
	from   map[netip.Addr]int
	status int
}

// ServeHTTP answers a probe.
func (p *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.from[addr.Addr()]++
	}
	w.WriteHeader(p.status)
}

// answer sets what is answered from now on.
func (p *probes) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// count returns how many came from a host.
func (p *probes) count(h *host) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.from[h.ip4]
}

// serveProbes answers health checks on a host until the test ends.
func (h *host) serveProbes() *probes {
	h.net.t.Helper()
	var ln net.Listener
	err := h.in(func() (err error) {
		ln, err = net.Listen("tcp4", "0.0.0.0:6980")
		return err
	})
	if err != nil {
		h.net.t.Fatal(err)
	}
	p := &probes{from: make(map[netip.Addr]int), status: http.StatusOK}
	srv := &http.Server{Handler: p}
	go srv.Serve(ln)
	h.net.t.Cleanup(func() { srv.Close() })
	return p
}

// TestSiblingHealth: a node in lazy mode probes a sibling that it does not hear, one in opportunistic mode also when it was quiet for a while,
// one in paranoid mode always; all hold a silent sibling up that answers, and a sibling down that does not.
func TestSiblingHealth(t *testing.T) {
	hosts := map[string]string{"lazy": "l", "opportunistic": "o", "paranoid": "p"} // by the modes of their nodes
	n := newNetwork(t, "l", "o", "p", "b")
	p := n.hosts["b"].serveProbes()
	beacons := []string{"--first-beacon-delay", "500ms", "--beacon-interval"}
	b := n.hosts["b"].serve(append(beacons, "500ms")...)
	watchers := make(map[string]*node)
	for mode, host := range hosts {
		// It hears b several times in each of its intervals, and misses it after one or after three.
		watchers[mode] = n.hosts[host].serve(append(beacons, "3s", "--sibling-health", mode,
			"--sibling", fmt.Sprintf("%s=http://%s/", announceURL("http", b.ip4), netip.AddrPortFrom(b.ip4, 6980)))...)
	}
	all := func(what string, up bool) {
		t.Helper()
		for mode, w := range watchers {
			w.until(what+" for "+mode, func(s status) error {
				if got := s.Pacing.Siblings[0]; got.Up != up {
					return fmt.Errorf("up %t, %s", got.Up, got.Trouble)
				}
				return nil
			})
		}
	}
	counts := func() map[string]int {
		c := make(map[string]int)
		for mode := range watchers {
			c[mode] = p.count(n.hosts[hosts[mode]])
		}
		return c
	}
	all("b is up", true)
	paranoid := func(more int) {
		t.Helper()
		was := p.count(n.hosts["p"])
		eventually(t, "paranoid probes go on", func() error {
			if got := p.count(n.hosts["p"]); got < was+more {
				return fmt.Errorf("%d, after %d", got, was)
			}
			return nil
		})
	}
	// A busy machine may keep b silent for longer than it is waited for: it is enough that the two do not probe when it does not.
	eventually(t, "b is heard, and only paranoid probes", func() error {
		before := counts()
		paranoid(2)
		if after := counts(); after["lazy"] != before["lazy"] || after["opportunistic"] != before["opportunistic"] {
			return fmt.Errorf("probes went from %v to %v", before, after)
		}
		return nil
	})

	b.kill() // and its health is still told
	died, before := time.Now(), counts()
	first := make(map[string]time.Duration)
	eventually(t, "all probe", func() error {
		after := counts()
		for mode := range watchers {
			if _, ok := first[mode]; !ok && after[mode] > before[mode] {
				first[mode] = time.Since(died)
			}
		}
		if len(first) != len(watchers) {
			return fmt.Errorf("probes went from %v to %v", before, after)
		}
		return nil
	})
	if first["lazy"] <= first["opportunistic"] {
		t.Errorf("probes began after %v", first)
	}
	all("b is silent and answers", true)
	p.answer(http.StatusServiceUnavailable)
	all("b fails", false)
}

// TestRoles: with a cluster key all know each other's roles: the active node has the uplink, the standby when no active one is there, the
// backup when neither is, and the others a hundredth.
func TestRoles(t *testing.T) {
	const total = 90_000_000
	n := newNetwork(t, "a", "s", "b")
	key := n.keyFile("key", n.newKey())
	roles := map[string]string{"a": "active", "s": "standby", "b": "backup"}
	nodes := make(map[string]*node)
	serve := func(name string) {
		nodes[name] = n.hosts[name].serve("--first-beacon-delay", "500ms", "--beacon-interval", "500ms", "--uplink", "90MB/s", "--cluster-key-file", key, "--role", roles[name])
	}
	for name := range roles {
		serve(name)
	}
	shares := func(what string, want map[string]int64) {
		t.Helper()
		eventually(t, what, func() error {
			got := make(map[string]int64)
			for name := range want {
				got[name] = nodes[name].now().Pacing.Rate
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("they have %v", got)
			}
			return nil
		})
	}
	const idle = total / 100
	shares("all are up", map[string]int64{"a": total - 2*idle, "s": idle, "b": idle})
	nodes["a"].kill()
	shares("the active one is dead", map[string]int64{"s": total - idle, "b": idle})
	nodes["s"].stop() // and says so
	shares("the standby has ended", map[string]int64{"b": total})
	serve("a")
	shares("the active one is back", map[string]int64{"a": total - idle, "b": idle})
}
