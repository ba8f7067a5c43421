package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"starling/livesync/edits"
	"starling/tracker/pacer"
	"starling/wire"
)

// TestAbuseModes: who is jailed is jailed where there is a jail, or where it is asked for.
func TestAbuseModes(t *testing.T) {
	rate := setting{"", []string{"100/s"}}
	for want, settings := range map[string][]map[string]setting{
		"watch": {{}, {"abuse": {"", []string{"watch"}}, "announce-rate": rate}},
		"jail":  {{"announce-rate": rate}, {"abuse": {"", []string{"jail"}}}},
		"off":   {{"abuse": {"", []string{"off"}}, "announce-rate": rate}},
	} {
		for _, s := range settings {
			n := testNode(t, s)
			if got := n.abuseStatus(time.Now()).Mode; got != want {
				t.Errorf("%v: %s, want %s", s, got, want)
			}
		}
	}
}

// TestJailShown: who is in the jail is in the answer of the API, in the status and in the figures of pacing, for their reason.
func TestJailShown(t *testing.T) {
	n := testNode(t, map[string]setting{"announce-rate": {"", []string{"100/s"}}})
	now := time.Now()
	n.jail().Sentence(now, pacer.ClientOf(netip.MustParseAddr("203.0.113.1")), pacer.Spraying)
	n.nameJailed(now, n.jail().All(now))
	var answer jailAnswer
	if err := json.Unmarshal(ask(n, "GET", "/api/v1/jail", "localhost").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Clients) != 1 || answer.Clients[0].Network != "203.0.113.1/32" || answer.Clients[0].Reason != "spray" || answer.Mode != "jail" {
		t.Errorf("%+v", answer)
	}
	s := n.status(now)
	if s.Abuse.Clients["spray"] != 1 || s.Pacing.Jail.Held["spray"] != 1 || !strings.Contains(s.Pacing.Jail.line(), "torrents that nobody knows") {
		t.Errorf("%+v %+v", s.Abuse, s.Pacing.Jail)
	}
	if e := n.events.recent(1); len(e) != 1 || e[0].Text != "203.0.113.1/32 is in the jail for torrents that nobody knows" {
		t.Errorf("%+v", e)
	}
}

// TestJailHeeded: a sentence of another node is served here, for no longer than any, and none of those that no node should pass.
func TestJailHeeded(t *testing.T) {
	n := testNode(t, map[string]setting{"announce-rate": {"", []string{"100/s"}}, "trusted-proxy": {"", []string{"198.51.100.0/24"}}})
	now := time.Now()
	for i, network := range []string{
		"203.0.113.1/32", "2001:db8:0:100::/56", "2001:db8:1::/64", // good ones
		"203.0.113.0/24", "2001:db8::/32", "127.0.0.1/32", "10.0.0.1/32", "198.51.100.7/32",
	} {
		e := jailEntry(pacer.HeldClient{Client: netip.MustParsePrefix(network), Offence: pacer.Harvesting, Until: now.Add(time.Hour)})
		e.Node = wire.NodeID{1}
		n.lists.machine.Load(now, []edits.Entry{e})
		n.lists.apply(now)
		if got, want := len(n.jail().All(now)), min(i+1, 3); got != want {
			t.Errorf("%s: %d are in the jail, want %d", network, got, want)
		}
	}
	for _, h := range n.jail().All(now) {
		if h.Until.Sub(now) > pacer.Sentence || !h.Told || h.Offence != pacer.Harvesting {
			t.Errorf("%+v", h)
		}
	}
}

// TestWarden: each stay is named once, what another node told is not told on, and no more is told than may be.
func TestWarden(t *testing.T) {
	w, now := warden{told: make(map[netip.Prefix]time.Time), named: make(map[netip.Prefix]bool), tokens: 1}, time.Now()
	a := pacer.HeldClient{Client: netip.MustParsePrefix("203.0.113.1/32"), Until: now.Add(pacer.Sentence)}
	b, c := a, a
	b.Client, b.Told = netip.MustParsePrefix("203.0.113.2/32"), true
	c.Client = netip.MustParsePrefix("203.0.113.3/32")
	for i, step := range []struct {
		held        []pacer.HeldClient
		tell, fresh int
	}{
		{[]pacer.HeldClient{a, b}, 1, 2}, {[]pacer.HeldClient{a, b}, 0, 0}, {nil, 0, 0}, {[]pacer.HeldClient{a, b, c}, 2, 3}, {[]pacer.HeldClient{a, b, c}, 0, 0},
	} {
		if tell, fresh := w.look(now, step.held); len(tell) != step.tell || len(fresh) != step.fresh {
			t.Errorf("step %d: %d told, %d named", i, len(tell), len(fresh))
		}
	}
	a.Until = a.Until.Add(pacer.Sentence)
	if tell, _ := w.look(now, []pacer.HeldClient{a}); len(tell) != 1 {
		t.Error("one that goes on is not told again")
	}
	w.tokens = 0
	many := make([]pacer.HeldClient, 1000)
	for i := range many {
		many[i] = pacer.HeldClient{Client: netip.PrefixFrom(netip.AddrFrom4([4]byte{9, 9, byte(i >> 8), byte(i)}), 32), Until: now.Add(pacer.Sentence)}
	}
	if tell, fresh := w.look(now, many); len(tell) != 1 || len(fresh) != 1000 {
		t.Errorf("%d told, %d named", len(tell), len(fresh))
	}
}
