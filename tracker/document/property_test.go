package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// build is what really happened in one build: what was written when.
type build struct {
	began  time.Time
	writes []write
	ended  time.Time // zero: not yet
	err    error
}

type write struct {
	at   time.Time
	text string
}

func (b *build) text() string {
	var all strings.Builder
	for _, w := range b.writes {
		all.WriteString(w.text)
	}
	return all.String()
}

// world is a document with a builder that writes, waits and fails at random.
type world struct {
	t        *testing.T
	d        *Document
	cfg      Config
	seed     uint64
	rng      *rand.Rand // of the builder, one build at a time
	failures float64

	mu     sync.Mutex // guards what follows
	builds []*build
	live   int
}

// build implements Config.Build and checks that it is called as promised.
func (w *world) build(_ context.Context, out io.Writer) error {
	w.mu.Lock()
	b := &build{began: time.Now()}
	if w.live++; w.live > 1 {
		w.t.Errorf("seed %d: %d builds at a time", w.seed, w.live)
	}
	if n := len(w.builds); n > 0 && b.began.Sub(w.builds[n-1].began) < w.cfg.Fresh {
		w.t.Errorf("seed %d: builds %v apart", w.seed, b.began.Sub(w.builds[n-1].began))
	}
	w.builds = append(w.builds, b)
	number := len(w.builds)
	w.mu.Unlock()

	for i := range 1 + w.rng.IntN(5) {
		<-time.After(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		part := strings.Repeat(fmt.Sprintf("%d.%d ", number, i), 1+w.rng.IntN(800))
		w.mu.Lock()
		b.writes = append(b.writes, write{time.Now(), part})
		w.mu.Unlock()
		io.WriteString(out, part)
	}
	<-time.After(time.Duration(w.rng.IntN(300)) * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live--
	b.ended = time.Now()
	if w.rng.Float64() < w.failures {
		b.err = errors.New("failed")
	}
	return b.err
}

// newest returns the last good build that ended before a moment, nil for none.
func (w *world) newest(at time.Time) *build {
	for i := len(w.builds) - 1; i >= 0; i-- {
		if b := w.builds[i]; b.err == nil && !b.ended.IsZero() && b.ended.Before(at) {
			return b
		}
	}
	return nil
}

// request is what one reader was given, and when.
type request struct {
	asked, ended time.Time
	pieces       []write
	err          error // io.EOF: it was given all
}

func (w *world) ask() *request {
	q := &request{asked: time.Now()}
	r, err := w.d.Get(q.asked)
	for err == nil {
		var b []byte
		if b, err = r.Next(w.t.Context()); err == nil {
			q.pieces = append(q.pieces, write{time.Now(), string(b)})
		}
	}
	if r != nil {
		r.Close()
	}
	q.ended, q.err = time.Now(), err
	return q
}

// check, with w.mu held, holds what a reader was given against what the builds did.
func (w *world) check(q *request) {
	got := (&build{writes: q.pieces}).text()
	copied := w.newest(q.asked)
	usable := copied != nil && (w.cfg.Keep == 0 || q.asked.Sub(copied.began) < max(w.cfg.Fresh, w.cfg.Keep))
	source := w.sourceOf(got)
	switch {
	case q.err != io.EOF:
		if copied != nil && got == "" || usable || source == nil || source.err == nil {
			w.t.Errorf("seed %d: %v after %d bytes, where there was a copy (usable: %t)", w.seed, q.err, len(got), usable)
		}
	case source == nil || source.err != nil || source.text() != got:
		w.t.Errorf("seed %d: got no document: %d bytes", w.seed, len(got))
	case usable && q.ended != q.asked:
		w.t.Errorf("seed %d: waited %v although there was a copy", w.seed, q.ended.Sub(q.asked))
	case copied != nil && source.ended.Before(copied.ended):
		w.t.Errorf("seed %d: got an older copy than there was", w.seed)
	case source == copied && !usable && !w.failedAround(q):
		w.t.Errorf("seed %d: got a copy %v old without need", w.seed, q.asked.Sub(copied.began))
	}
	w.checkTimes(q, source)
}

// failedAround reports whether a build failed while a reader waited, or too shortly before to be tried again.
func (w *world) failedAround(q *request) bool {
	for _, b := range w.builds {
		if b.err != nil && !b.ended.After(q.ended) && (!b.ended.Before(q.asked) || q.asked.Sub(b.began) < w.cfg.Fresh) {
			return true
		}
	}
	return false
}

// checkTimes checks that each byte of a document that was being made came as soon as it and its reader were there.
func (w *world) checkTimes(q *request, source *build) {
	if source == nil || !source.ended.After(q.asked) {
		return
	}
	at := 0
	for _, p := range q.pieces {
		for end := at + len(p.text); at < end; {
			due, next := source.wrote(at)
			if due = later(due, q.asked); !p.at.Equal(due) {
				w.t.Errorf("seed %d: byte %d came %v late", w.seed, at, p.at.Sub(due))
				return
			}
			at = min(next, end)
		}
	}
}

// sourceOf returns the build that a text comes from, whole or in part; for nothing one that failed.
func (w *world) sourceOf(text string) *build {
	for _, b := range w.builds {
		if strings.HasPrefix(b.text(), text) && (text != "" || b.err != nil) {
			return b
		}
	}
	return nil
}

// wrote returns when a byte was written, and which is the first that was written after it.
func (b *build) wrote(at int) (when time.Time, next int) {
	for _, w := range b.writes {
		if next += len(w.text); at < next {
			return w.at, next
		}
	}
	return time.Time{}, at + 1
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// TestAnySchedule: whatever the requests and builds are, the promises of the package hold.
func TestAnySchedule(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			seed := base + i
			rng := rand.New(rand.NewPCG(seed, 0))
			w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), failures: []float64{0, 0.3, 0.8}[i%3]}
			w.cfg = Config{
				Build: w.build, Timeout: time.Hour, MaxSize: 1 << 20,
				Fresh: time.Duration(1+rng.IntN(1000)) * time.Millisecond,
				Keep:  time.Duration(rng.IntN(3)) * time.Duration(rng.IntN(2000)) * time.Millisecond,
			}
			w.d = New(w.cfg)
			var requests sync.WaitGroup
			var asked [60]*request
			for i := range asked {
				if rng.IntN(3) > 0 {
					<-time.After(time.Duration(rng.IntN(600))*time.Millisecond + 1)
				}
				requests.Go(func() { asked[i] = w.ask() })
			}
			requests.Wait()
			<-time.After(time.Minute) // the last build has ended, too
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, q := range asked {
				w.check(q)
			}
		})
	}
}

// TestRace: many readers of documents that come and go. Each text is one letter throughout.
func TestRace(t *testing.T) {
	var builds atomic.Int64
	a := NewAdmission(func() uint64 { return 1 << 20 })
	d := New(Config{Fresh: 100 * time.Microsecond, Keep: time.Millisecond, Timeout: patience, MaxSize: 1 << 20, Admission: a, Build: func(_ context.Context, w io.Writer) error {
		n := builds.Add(1)
		for range 20 {
			io.WriteString(w, strings.Repeat(string(rune('a'+n%26)), 997))
			runtime.Gosched()
		}
		if n%5 == 0 {
			return errors.New("failed")
		}
		return nil
	}})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 50 {
				got, err := get(t, d)
				if strings.Trim(got, got[:min(1, len(got))]) != "" || err == nil && len(got) != 20*997 {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
	if c := d.Counts(); a.Live() != 0 || c.Fresh+c.Followed+c.Stale+c.Unavailable != 32*50 {
		t.Errorf("%d live, %+v", a.Live(), c)
	}
}

// BenchmarkCopy is a whole answer from the copy, of as many bytes as a status has.
func BenchmarkCopy(b *testing.B) {
	text := strings.Repeat("x", 2000)
	d := New(Config{Fresh: time.Hour, Timeout: patience, MaxSize: 1 << 20, Admission: NewAdmission(func() uint64 { return 1 << 40 }),
		Build: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, text); return err }})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r, err := d.Get(now)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next(b.Context())
		}
		r.Close()
	}
}
