package fullscrape

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"starling/tracker"
	"starling/wire"
)

// seeded returns a source of random numbers and prints its seed should the test fail.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// anyCounts draws a torrent whose numbers may be as long as they get.
func anyCounts(r *rand.Rand) tracker.Counted {
	c := tracker.Counted{Counts: tracker.Counts{
		Seeders: r.Uint32() >> r.IntN(32), Leechers: r.Uint32() >> r.IntN(32), Downloaded: r.Uint64() >> r.IntN(64),
	}}
	c.Partial = c.Leechers >> (1 + r.IntN(31))
	for i := range c.InfoHash {
		c.InfoHash[i] = byte(r.Uint32() >> (r.IntN(2) * 8))
	}
	c.InfoHash[0] &= byte(r.IntN(256)) // some buckets have many
	return c
}

// fileOf is what a full scrape says of a torrent.
func fileOf(c tracker.Counted) wire.ScrapeFile {
	return wire.ScrapeFile{
		InfoHash: c.InfoHash, Seeders: c.Seeders, Leechers: c.Leechers, Downloaders: c.Leechers - c.Partial, Downloaded: c.Downloaded,
	}
}

// TestRows: what is taken bucket by bucket is what was added, sorted, each torrent once.
func TestRows(t *testing.T) {
	r := seeded(t)
	var all rows
	model := map[wire.InfoHash]wire.ScrapeFile{}
	for range 5000 {
		c := anyCounts(r)
		model[c.InfoHash] = fileOf(c)
		all.add(c)
		if r.IntN(20) == 0 {
			all.add(c)
		}
	}
	want := slices.SortedFunc(maps.Values(model), func(x, y wire.ScrapeFile) int { return bytes.Compare(x.InfoHash[:], y.InfoHash[:]) })
	var got, bucket []wire.ScrapeFile
	for i := range all.buckets {
		bucket = all.take(i, bucket, func() {})
		got = append(got, bucket...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows of %d torrents, or other ones", len(got), len(want))
	}
	for i := range all.buckets {
		if all.buckets[i] != nil {
			t.Fatalf("bucket %d is still there", i)
		}
	}
}

// TestLongestRow fits into what is left free for it.
func TestLongestRow(t *testing.T) {
	var all rows
	c := tracker.Counted{Counts: tracker.Counts{Seeders: math.MaxUint32, Leechers: math.MaxUint32, Partial: math.MaxUint32, Downloaded: math.MaxUint64}}
	for range 1000 {
		all.add(c)
	}
	for _, chunk := range all.buckets[0] {
		if cap(chunk) != rowChunk {
			t.Fatalf("a chunk grew to %d bytes", cap(chunk))
		}
	}
	if got := all.take(0, nil, func() {}); len(got) != 1 || got[0] != fileOf(c) {
		t.Errorf("%+v", got)
	}
}
