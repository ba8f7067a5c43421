package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"starling/livesync"
	"starling/wire"
)

// TestEvents: the latest are kept, the latest first; the same again and again is one; nothing unprintable stays.
func TestEvents(t *testing.T) {
	var e events
	if got := e.recent(10); len(got) != 0 || got == nil {
		t.Fatalf("before anything happened: %v", got)
	}
	at := time.Unix(1000, 0)
	for i := range 2*maxEvents + 5 {
		e.add(at, eventJoined, fmt.Sprint(i))
		e.add(at.Add(time.Second), eventJoined, fmt.Sprint(i))
		all := e.recent(maxEvents + 1)
		if len(all) != min(i+1, maxEvents) {
			t.Fatalf("after %d: %d are kept", i+1, len(all))
		}
		for j, got := range all {
			want := event{Seq: uint64(i + 1 - j), Time: at.Add(time.Second), Count: 2, Kind: eventJoined, Text: fmt.Sprint(i - j)}
			if got != want {
				t.Fatalf("after %d: %v, want %v", i+1, got, want)
			}
		}
	}
	e.add(at, eventLost, "a\x1b[2J\n\u00e9<"+strings.Repeat("x", 1000))
	if got := e.recent(1)[0]; len(got.Text) != maxEventText || !strings.HasPrefix(got.Text, "a?[2J???<x") || !got.Troubles {
		t.Errorf("%+v", got)
	}
}

// TestEventsPage: what there is, as JSON.
func TestEventsPage(t *testing.T) {
	n := testNode(t, nil)
	n.events.add(time.Unix(1, 0), eventLost, `<b>"x"`)
	w := ask(n, "GET", "/api/v1/events", "localhost")
	var page struct{ Events []event }
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Events) != 1 || page.Events[0].Text != `<b>"x"` {
		t.Errorf("%v %s", err, w.Body)
	}
}

// TestWatcher: each thing that happens is said once, when it happens.
func TestWatcher(t *testing.T) {
	start := time.Unix(1000, 0)
	self, a, b := wire.NodeID{1}, wire.NodeID{2}, wire.NodeID{3}
	other := func(id wire.NodeID, heard time.Duration) livesync.NodeStatus {
		return livesync.NodeStatus{
			ID: id, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, id[0]}), 9696),
			LastHeard: start.Add(heard), Mode: "keyed", Divergence: livesync.Divergence{Known: true, Bound: 64},
		}
	}
	ended := other(b, 44*time.Second)
	ended.Bye = true
	cut := livesync.Status{ID: self, Mode: "keyed", Trouble: "eth0 is down"}
	clash := livesync.Status{ID: self, Mode: "plain", Conflict: "10.0.0.9 has our fixed id"}
	w := watcher{beacon: time.Minute}
	for _, tt := range []struct {
		second   int
		status   livesync.Status
		caughtUp bool
		want     []eventKind
	}{
		{0, livesync.Status{ID: self, Mode: "keyed"}, false, nil},
		{1, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, time.Second)}}, false, []eventKind{eventJoined, eventInSync}},
		{2, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, time.Second)},
			CatchUp: livesync.CatchUpStatus{Streams: 1, From: a}}, true, []eventKind{eventCaughtUp, eventReady}},
		{11, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, time.Second)}, CatchUp: livesync.CatchUpStatus{Streams: 1}}, true, nil},
		{13, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, time.Second)}, CatchUp: livesync.CatchUpStatus{Streams: 1}}, true, []eventKind{eventLost, eventDiffers}},
		{40, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, 40*time.Second), other(b, 40*time.Second)}}, true, []eventKind{eventBack, eventJoined, eventInSync}},
		{45, livesync.Status{ID: self, Mode: "keyed", Nodes: []livesync.NodeStatus{other(a, 45*time.Second), ended}}, true, []eventKind{eventEnded}},
		{46, cut, true, []eventKind{eventCutOff, eventForgotten, eventForgotten, eventDiffers}},
		{47, clash, true, []eventKind{eventConflict, eventJoinedIt}},
		{48, clash, true, nil},
		{49, livesync.Status{ID: b, Mode: "plain"}, true, []eventKind{eventNewID}},
	} {
		var kinds []eventKind
		for _, h := range w.look(start.Add(time.Duration(tt.second)*time.Second), &tt.status, tt.caughtUp) {
			kinds = append(kinds, h.kind)
			t.Logf("%ds: %s", tt.second, h.text)
		}
		if !reflect.DeepEqual(kinds, tt.want) {
			t.Errorf("%ds: %v, want %v", tt.second, kinds, tt.want)
		}
	}
}

// TestWatcherFlood: forged ids do not push everything else out.
func TestWatcherFlood(t *testing.T) {
	w, now := watcher{beacon: time.Minute}, time.Unix(1000, 0)
	s := livesync.Status{Mode: "plain"}
	for i := range 256 {
		s.Nodes = append(s.Nodes, livesync.NodeStatus{ID: wire.NodeID{1, byte(i)}, LastHeard: now, Mode: "plain"})
	}
	if news := w.look(now, &s, true); len(news) > maxNews+2 {
		t.Errorf("%d events of one look", len(news))
	}
}
