package catchup

import (
	"math/rand/v2"
	"testing"
	"time"

	"starling/wire"
)

// TestJournal compares a journal with a list, over hours of stops at all sorts of rates.
func TestJournal(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	now := epoch
	j := NewJournal(now)
	var list []time.Time
	for n := range 60_000 {
		now = now.Add(time.Duration(rng.ExpFloat64() * float64([]time.Duration{time.Millisecond, 100 * time.Millisecond, 20 * time.Second}[n/500%3])))
		j.Tick(now)
		j.Add(wire.InfoHash{byte(n)}, peer4(n))
		list = append(list, now)
		for list[0].Before(now.Add(-journalTime)) {
			list = list[1:]
		}
		if n%97 != 0 {
			continue
		}
		since := now.Add(-time.Duration(rng.Int64N(int64(2 * journalTime))))
		want := 0
		for _, at := range list {
			if !at.Before(since) {
				want++
			}
		}
		got := j.Since(now, since)
		if len(got) != want || want > 0 && (got[want-1].Peer != peer4(n) || got[want-1].Age != 0) {
			t.Fatalf("seed %d: %d stops since %v ago, want %d", seed, len(got), now.Sub(since), want)
		}
		if reach := j.Reach(now); reach != min(now.Sub(epoch), journalTime) {
			t.Fatalf("seed %d: reaches %v back", seed, reach)
		}
		if len(j.chunks) > len(list)/journalChunk+2 {
			t.Fatalf("seed %d: %d chunks for %d stops", seed, len(j.chunks), len(list))
		}
	}
	if j.Reach(now.Add(time.Hour)) != journalTime || j.count != 0 || len(j.chunks) != 0 {
		t.Fatal("memory of old stops is kept")
	}
}

// TestJournalFull adds more stops than are kept: it says how far back it knows all.
func TestJournalFull(t *testing.T) {
	j := NewJournal(epoch)
	for n := range journalSize + 1000 {
		j.Tick(epoch.Add(time.Duration(n) * time.Microsecond))
		j.Add(wire.InfoHash{}, peer4(n))
	}
	now := epoch.Add((journalSize + 1000) * time.Microsecond)
	if reach := j.Reach(now); j.count != journalSize || reach < journalSize*time.Microsecond || reach > (journalSize+1)*time.Microsecond {
		t.Fatalf("%d stops, all since %v ago", j.count, reach)
	}
}

func BenchmarkJournal(b *testing.B) {
	j := NewJournal(epoch)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		j.Tick(now)
		j.Add(wire.InfoHash{}, peer4(1))
	}
}
