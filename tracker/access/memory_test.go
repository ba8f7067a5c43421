package access

import (
	"bufio"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// writeHashes writes a list of so many hashes, which come out of a seed.
func writeHashes(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<16)
	rng := rand.NewChaCha8([32]byte{7})
	var hash [20]byte
	var line [41]byte
	line[40] = '\n'
	for range n {
		rng.Read(hash[:])
		hex.Encode(line[:], hash[:])
		w.Write(line[:])
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// heap returns the bytes of the heap that are in use, and those that the collector looks through for pointers.
func heap() (inUse, scanned uint64) {
	runtime.GC()
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/scan/heap:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64()
}

// measure reads a list and returns what it takes.
func measure(t testing.TB, n int) (s *Hashes, bytes, scanned int64, took time.Duration, allocated uint64) {
	t.Helper()
	path := writeHashes(t, n)
	var before, after runtime.MemStats
	bytes0, scanned0 := heap()
	runtime.ReadMemStats(&before)
	began := time.Now()
	s, _, err := ReadHashes(path)
	took = time.Since(began)
	runtime.ReadMemStats(&after)
	if err != nil || s.Len() != n {
		t.Fatalf("%d hashes of %d: %v", s.Len(), n, err)
	}
	bytes1, scanned1 := heap()
	runtime.KeepAlive(s)
	return s, int64(bytes1 - bytes0), int64(scanned1 - scanned0), took, after.TotalAlloc - before.TotalAlloc
}

// TestMemory: a list takes 22 bytes for each hash, is loaded in as much and little more, and the garbage collector does not look into it. So ten million
// take some 220 MB; BenchmarkRead measures them.
func TestMemory(t *testing.T) {
	const n = 500_000
	s, bytes, scanned, _, allocated := measure(t, n)
	t.Logf("%d hashes: %d bytes, %d of them scanned, %d allocated on the way", n, bytes, scanned, allocated)
	if most := int64(n * 24); bytes > most+1<<20 || int64(s.Bytes()) > most {
		t.Errorf("%d hashes take %d bytes, by their own account %d", n, bytes, s.Bytes())
	}
	if allocated > n*26+1<<20 {
		t.Errorf("%d bytes were allocated to load %d hashes", allocated, n)
	}
	if scanned > 1<<20 {
		t.Errorf("the collector looks through %d bytes more", scanned)
	}
}

// BenchmarkRead reads a list of ten million hashes, once.
func BenchmarkRead(b *testing.B) {
	const n = 10_000_000
	for range b.N {
		b.StopTimer()
		s, bytes, scanned, took, allocated := measure(b, n)
		b.StartTimer()
		b.ReportMetric(float64(bytes)/1e6, "MB")
		b.ReportMetric(float64(scanned)/1e6, "MB-scanned")
		b.ReportMetric(float64(allocated)/1e6, "MB-allocated")
		b.ReportMetric(took.Seconds(), "s/load")
		began := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/GC")
		runtime.KeepAlive(s)
	}
}
