package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/catchup"
	"starling/tracker"
	"starling/wire"
)

// TestRestartKeepsPeers ends the program and starts it anew: clients get the peers from before, those of an on-demand tracker too.
func TestRestartKeepsPeers(t *testing.T) {
	dir := t.TempDir()
	flags := []string{"--livesync-interface", "none", "--state-dir", dir}
	s := serve(t, flags...)
	announce(t, "http", s.HTTP[0], 6881)
	must(t, http.StatusCreated, "PUT", s.Admin, "/api/v1/director/films?hostname=films.example")
	announceAs(t, s.HTTP[0], "films.example", 6881)
	s.wait(t)
	info, err := os.Stat(filepath.Join(dir, "swarms.snapshot"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v, want a file for its owner only", info, err)
	}
	s = serve(t, flags...)
	if got := fmt.Sprint(announce(t, "udp", s.UDP[0], 6882)); got != "[127.0.0.1:6881]" {
		t.Errorf("after a restart: %s", got)
	}
	awaitLeechers(t, s.HTTP[0], "films.example", 6882, 2)
	must(t, http.StatusNoContent, "DELETE", s.Admin, "/api/v1/director/films")
	s.wait(t)
	if kept, _ := filepath.Glob(filepath.Join(dir, "*.snapshot*")); len(kept) != 1 {
		t.Errorf("kept on the disk: %v", kept)
	}
}

// TestKilled: what ends by kill -9 begins with the last snapshot.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--livesync-interface", "none",
		"--state-dir", dir, "--snapshot-interval", "1s", "--log-format", "json")
	log := startProgram(t, cmd)
	s := awaitServing(t, log)
	announce(t, "http", s.HTTP[0], 6881)
	path := filepath.Join(dir, "swarms.snapshot")
	await(t, "a snapshot with the peer", func() bool {
		peers := 0
		catchup.LoadSnapshot(path, func(b *catchup.Block) {
			if b.Excerpt != nil {
				peers += len(b.Excerpt.Members)
			}
		})
		return peers == 1
	})
	cmd.Process.Kill()
	cmd.Wait()
	again := serve(t, "--livesync-interface", "none", "--state-dir", dir)
	if got := fmt.Sprint(announce(t, "http", again.HTTP[0], 6882)); got != "[127.0.0.1:6881]" {
		t.Errorf("after a kill: %s", got)
	}
}

// newSnapshots returns what keeps a tracker's swarms under dir, and what it logs.
func newSnapshots(dir string, now time.Time, seed byte) (*snapshots, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return &snapshots{
		path: filepath.Join(dir, "swarms.snapshot"), every: time.Minute, timeout: 45 * time.Minute,
		tracker:  tracker.New(tracker.Config{Seed: &[32]byte{seed}}, now),
		livesync: livesync.New(livesync.Config{ID: wire.NodeID{1}}), log: zerolog.New(log),
	}, log
}

// TestDamagedSnapshot: it is named, put aside, and nothing of it is used.
func TestDamagedSnapshot(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	first, _ := newSnapshots(dir, now, 1)
	for i := range 5000 {
		first.tracker.Apply(now, wire.Record{InfoHash: wire.InfoHash{byte(i)}, Peer: somePeer(i)})
	}
	first.save(func(time.Duration) error { return nil })
	whole, err := os.ReadFile(first.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"cut": whole[:len(whole)-5], "changed": slices.Concat(whole[:9000], []byte{whole[9000] ^ 1}, whole[9001:]), "empty": nil} {
		if err := os.WriteFile(first.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, log := newSnapshots(dir, now, 2)
		s.load(now, nil)
		if s.tracker.Torrents() != 0 || !strings.Contains(log.String(), first.path) || !strings.Contains(log.String(), "damaged") {
			t.Errorf("%s: %d torrents, log %s", name, s.tracker.Torrents(), log)
		}
		aside, err := os.ReadFile(first.path + ".damaged")
		if _, gone := os.Stat(first.path); err != nil || gone == nil || !bytes.Equal(aside, b) {
			t.Errorf("%s: %v, %v", name, err, gone)
		}
	}
}

// TestSnapshotAges: the time between two lives counts; a peer is forgotten when it would have been.
func TestSnapshotAges(t *testing.T) {
	now := time.Now()
	for _, away := range []time.Duration{-time.Hour, 0, 30 * time.Minute, 46 * time.Minute} {
		dir := t.TempDir()
		first, _ := newSnapshots(dir, now.Add(-10*time.Minute), 1)
		first.tracker.Apply(now.Add(-10*time.Minute), wire.Record{InfoHash: wire.InfoHash{1}, Peer: somePeer(1), Flags: wire.Seeding | wire.Complete})
		first.save(func(time.Duration) error { return nil })
		back := time.Now().Add(away)
		s, log := newSnapshots(dir, back, 2)
		s.load(back, nil)
		left := 35*time.Minute - max(away, 0)
		for at := time.Duration(0); at < 40*time.Minute; at += 20 * time.Second {
			s.tracker.Expire(back.Add(at))
			c, _ := s.tracker.Scrape(wire.InfoHash{1})
			if at < left && c.Seeders != 1 || at > left+2*time.Minute && c.Seeders != 0 || c.Downloaded != 1 {
				t.Fatalf("away for %v, %v after that: %+v", away, at, c)
			}
		}
		if future := strings.Contains(log.String(), "from the future"); future != (away < 0) {
			t.Errorf("away for %v: %s", away, log)
		}
	}
}

// TestSnapshotRests: while it runs a snapshot takes a quarter of a processor at most, and gives up when the program ends.
func TestSnapshotRests(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rest(ctx, time.Hour) == nil {
		t.Error("rests on after the end")
	}
	dir := t.TempDir()
	s, log := newSnapshots(dir, time.Now(), 1)
	s.save(func(time.Duration) error { return context.Canceled })
	if entries, _ := os.ReadDir(dir); len(entries) != 0 || log.Len() != 0 {
		t.Errorf("%v, log %s", entries, log)
	}
	s.path = filepath.Join(dir, "none", "swarms.snapshot")
	s.save(func(time.Duration) error { return nil })
	if !strings.Contains(log.String(), "could not be written") {
		t.Errorf("log %s", log)
	}
}

// somePeer returns the n-th peer, every third over IPv6.
func somePeer(n int) wire.Peer {
	if n%3 == 0 {
		return wire.Peer{0: 0x20, 1: 1, 2: 0x0d, 3: 0xb8, 7: byte(n >> 16), 14: byte(n >> 8), 15: byte(n), 16: 0x1a, 17: 0xe1}
	}
	return wire.PeerFrom4([]byte{10, byte(n >> 16), byte(n >> 8), byte(n), 0x1a, 0xe1})
}

// manyPeers returns a tracker with a million peers of both families in 200,000 torrents.
func manyPeers(now time.Time, seed byte) *tracker.Tracker {
	t := tracker.New(tracker.Config{Seed: &[32]byte{seed}}, now)
	rng := rand.New(rand.NewPCG(1, 2))
	batch := make([]wire.Record, 0, 1000)
	for _, i := range rng.Perm(1_000_000) {
		n := i % 200_000
		batch = append(batch, wire.Record{InfoHash: wire.InfoHash{0: byte(n * 7), 1: byte(n >> 8), 2: byte(n >> 16), 3: byte(n)}, Peer: somePeer(i), Flags: wire.Flags(i%5/4) * wire.Seeding})
		if len(batch) == cap(batch) {
			t.ApplyAll(now, batch)
			batch = batch[:0]
		}
	}
	return t
}

// BenchmarkSnapshot writes and reads a million peers in 200,000 torrents, as at the end and at the start of the program.
func BenchmarkSnapshot(b *testing.B) {
	now := time.Now()
	full := manyPeers(now, 1)
	dir := b.TempDir()
	b.Run("write", func(b *testing.B) {
		s, _ := newSnapshots(dir, now, 1)
		s.tracker = full
		for b.Loop() {
			s.save(func(time.Duration) error { return nil })
		}
		if info, err := os.Stat(s.path); err == nil {
			b.ReportMetric(float64(info.Size())/1e6, "MB")
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			s, _ := newSnapshots(dir, now, 2)
			s.load(now, nil)
			if n := s.tracker.Stats(); n.Peers4+n.Peers6 != 1_000_000 {
				b.Fatal(n)
			}
		}
	})
}

// BenchmarkAnnounceDuringSnapshot tells how long announces take at the 99th percentile while a snapshot of a million peers is written
// again and again, beside none.
func BenchmarkAnnounceDuringSnapshot(b *testing.B) {
	now := time.Now()
	for _, busy := range []bool{false, true} {
		b.Run(fmt.Sprintf("writing=%v", busy), func(b *testing.B) {
			s, _ := newSnapshots(b.TempDir(), now, 1)
			s.tracker = manyPeers(now, 1)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for busy && ctx.Err() == nil {
					s.save(func(worked time.Duration) error { return rest(ctx, snapshotIdle*worked) })
				}
			}()
			var times []time.Duration
			ans := tracker.Answer{Peers4: make([]byte, 0, 1200), Peers6: make([]byte, 0, 3600)}
			for i := 0; b.Loop(); i++ {
				n := i % 200_000
				began := time.Now()
				ans.Peers4, ans.Peers6 = ans.Peers4[:0], ans.Peers6[:0]
				s.tracker.Announce(began, &tracker.Announce{InfoHash: wire.InfoHash{0: byte(n * 7), 1: byte(n >> 8), 2: byte(n >> 16), 3: byte(n)}, Peer: somePeer(i % 1_000_000), NumWant: 50}, &ans)
				times = append(times, time.Since(began))
			}
			cancel()
			<-done
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
			b.ReportMetric(float64(times[len(times)*999/1000]), "p99.9-ns")
		})
	}
}
