package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

func mustFind(t *testing.T, cfg *config) *identity {
	t.Helper()
	who, err := findIdentity(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if who.id == (wire.NodeID{}) {
		t.Fatal("the id is zero")
	}
	return who
}

// No two livesyncs of a node have the same epoch, whatever the clock shows, and none that a start before had.
func TestEpochs(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, dir := range []string{"", t.TempDir()} {
		last := uint64(0)
		who := mustFind(t, &config{stateDir: dir})
		for _, now := range []time.Time{noon, noon, noon.Add(time.Hour), noon} {
			number, err := who.epoch(now)
			if err != nil || number < last+epochGap || number < uint64(now.UnixNano()) {
				t.Fatalf("%q: epoch %d after %d, %v", dir, number, last, err)
			}
			last = number
		}
		if dir == "" {
			continue
		}
		if number, err := mustFind(t, &config{stateDir: dir}).epoch(noon); err != nil || number != last+epochGap {
			t.Errorf("after a restart with a clock that was set back: epoch %d after %d, %v", number, last, err)
		}
		if number, err := mustFind(t, &config{stateDir: dir}).epoch(noon.Add(24 * time.Hour)); err != nil || number != uint64(noon.Add(24*time.Hour).UnixNano()) {
			t.Errorf("a day later: epoch %d, %v", number, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "epoch"), []byte("yesterday"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := who.epoch(noon); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("a damaged file: %v", err)
		}
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := mustFind(t, &config{stateDir: dir})
	if first.fixed {
		t.Error("a random id is fixed")
	}
	if again := mustFind(t, &config{stateDir: dir}); again.id != first.id {
		t.Errorf("after a restart the id is %s, was %s", again.id, first.id)
	}
	taken := wire.NodeID{1, 2, 3, 4}
	if err := first.save(taken); err != nil {
		t.Fatal(err)
	}
	if again := mustFind(t, &config{stateDir: dir}); again.id != taken {
		t.Errorf("after a change of id the id is %s, want %s", again.id, taken)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "tracker-id" {
		t.Errorf("the directory holds %v, %v; want tracker-id alone", entries, err)
	}
}

// TestIdentityByFlag: an id that was given is used and not written.
func TestIdentityByFlag(t *testing.T) {
	dir := t.TempDir()
	given := wire.NodeID{0x7f, 0x3a, 0x91, 0xc2}
	who := mustFind(t, &config{stateDir: dir, id: given})
	if who.id != given || !who.fixed {
		t.Errorf("got %s, fixed %t", who.id, who.fixed)
	}
	if err := who.save(wire.NodeID{1}); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v was written", entries)
	}
}

// TestNothingIsWritten: without a state directory ids differ and no file is made.
func TestNothingIsWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	a, b := mustFind(t, &config{}), mustFind(t, &config{})
	if a.id == b.id {
		t.Errorf("two random ids are both %s", a.id)
	}
	if err := a.save(wire.NodeID{1}); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir("."); len(entries) != 0 {
		t.Errorf("%v was written", entries)
	}
}

func TestBadIdentityFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tracker-id")
	for _, text := range []string{"", "7f3a91c", "00000000\n", "7f3a91c2 x", strings.Repeat("7", 2<<20)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		invoke(t, nil, silent("--state-dir", dir)...).wantUsageError(t, "--state-dir", path)
	}
}
