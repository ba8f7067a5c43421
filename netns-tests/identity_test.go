package netnstests

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestForgedOwnID: whoever sends under a tracker's own id makes it take a new
// one, once in ten minutes at most, and changes no swarm by it.
func TestForgedOwnID(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a, x := n.hosts["a"].serve(), n.hosts["x"]
	client := peer{x, hash(1), 7001}
	client.announce(a.ip4, 0, "started")
	f := x.forger(x.ip4)
	victim := netip.MustParseAddrPort("10.77.0.200:6881")

	f.send(group, live(a.id, hash(1), victim, 0))
	changed := a.until("takes a new id", func(s status) error {
		if s.TrackerID == a.id {
			return fmt.Errorf("it is still %s", s.TrackerID)
		}
		return nil
	})
	for range 10 {
		f.send(group, live(changed.TrackerID, hash(1), client.addr4(), stopped))
	}
	// What the forger sends in its own name comes behind all that.
	f.send(group, live(strangerID, hash(1), victim, 0))
	a.holds(2, 0)
	s := a.now()
	if got := s.Livesync.Dropped["own_id"]; got < 11 {
		t.Errorf("%d dropped for its own id, want at least 11: %v", got, s.Livesync.Dropped)
	}
	if s.TrackerID != changed.TrackerID {
		t.Errorf("the id changed again, to %s", s.TrackerID)
	}
	if s.Torrents != 1 || s.Seeders != 1 {
		t.Errorf("swarms changed: %+v", s)
	}
	// Its own packets have the new id from now on.
	peer{x, hash(2), 7001}.announce(a.ip4, 0, "started")
	sent := n.wire.first("a record", both(a.sent("live4"), about(hash(2))))
	if sent.sync.id != changed.TrackerID {
		t.Errorf("it sends as %s, its status says %s", sent.sync.id, changed.TrackerID)
	}
}

// TestEqualIDs: two trackers start from copies of one state directory, as
// cloned machines do, and would take each other's packets for their own.
func TestEqualIDs(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	mother := filepath.Join(n.dir, "a-state")
	first := n.hosts["a"].serve("--state-dir", mother)
	first.stop()
	clone := filepath.Join(n.dir, "b-state")
	if err := os.CopyFS(clone, os.DirFS(mother)); err != nil {
		t.Fatal(err)
	}
	a, b := n.hosts["a"].serve("--state-dir", mother), n.hosts["b"].serve("--state-dir", clone)
	if a.id != first.id || b.id != first.id {
		t.Fatalf("ids %s and %s, both were to keep %s", a.id, b.id, first.id)
	}
	reaches(a, b, n.hosts["x"], 1)
	reaches(b, a, n.hosts["x"], 2)
	kept := b.now().TrackerID
	if other := a.now().TrackerID; kept == other {
		t.Fatalf("both still have the id %s", kept)
	}
	// The new id is as lasting as the old one.
	b.stop()
	if b = b.serve("--state-dir", clone); b.id != kept {
		t.Errorf("b came back as %s, was %s", b.id, kept)
	}
}

// TestFixedIDStays: an id given by flag is the operator's word, a clash is
// only reported.
func TestFixedIDStays(t *testing.T) {
	n := newNetwork(t, "a", "x")
	a := n.hosts["a"].serve("--tracker-id", "0a0b0c0d")
	f := n.hosts["x"].forger(n.hosts["x"].ip4)
	f.send(group, live(a.id, hash(1), netip.MustParseAddrPort("10.77.0.200:6881"), 0))
	s := a.until("drops it", func(s status) error {
		if s.Livesync.Dropped["own_id"] == 0 {
			return fmt.Errorf("dropped %v", s.Livesync.Dropped)
		}
		return nil
	})
	if s.TrackerID != "0a0b0c0d" || s.Torrents != 0 {
		t.Errorf("id %s, %d torrents", s.TrackerID, s.Torrents)
	}
	f.send(group, live(a.id, hash(1), netip.MustParseAddrPort("10.77.0.200:6881"), 0))
	eventually(t, "the log names the other once", func() error {
		if lines := a.logged(`"error"`, n.hosts["x"].ip4.String()); len(lines) != 1 {
			return fmt.Errorf("%d errors name it", len(lines))
		}
		return nil
	})
}

// TestKilledAndRestarted: a tracker that was killed comes back under its id,
// hears the others at once and is told what was downloaded meanwhile.
func TestKilledAndRestarted(t *testing.T) {
	n := newNetwork(t, "a", "b", "x")
	state := filepath.Join(n.dir, "a-state")
	a := n.hosts["a"].serve(append(quick, "--state-dir", state)...)
	b := n.hosts["b"].serve(quick...)
	b.finish(n.hosts["x"], 2)
	a.until("knows that both are finished", func(s status) error {
		if s.Seeders != 2 {
			return fmt.Errorf("it has %d seeders", s.Seeders)
		}
		return nil
	})
	a.kill()
	again := a.serve(append(quick, "--state-dir", state)...)
	if again.id != a.id {
		t.Errorf("it came back as %s, was %s", again.id, a.id)
	}
	again.knows(n.hosts["x"], 2)
	reaches(b, again, n.hosts["x"], 11)
	reaches(again, b, n.hosts["x"], 12)
	seen := 0
	for _, node := range b.now().Nodes {
		if node.ID == a.id {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("b lists %s %d times", a.id, seen)
	}
}
