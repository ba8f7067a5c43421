package main

import (
	"fmt"
	"testing"
	"time"

	"starling/wire"
)

// BenchmarkLiveFrame is what one second with readers costs, for a store of so many torrents.
func BenchmarkLiveFrame(b *testing.B) {
	for _, torrents := range []int{0, 100_000} {
		b.Run(fmt.Sprint(torrents), func(b *testing.B) {
			n := testNode(b, nil)
			now := time.Now()
			for i := range torrents {
				n.tracker.Learn(now, wire.Tell{InfoHash: wire.InfoHash{byte(i), byte(i >> 8), byte(i >> 16)}, Downloaded: 1})
			}
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				b.SetBytes(int64(len(n.liveFrame(now))))
			}
		})
	}
}

// BenchmarkObserve is what one second costs without.
func BenchmarkObserve(b *testing.B) {
	n := testNode(b, nil)
	w, now := watcher{beacon: time.Minute}, time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		s := n.livesync.Status()
		w.look(now, &s, true)
		n.observe(now, &s)
	}
}
