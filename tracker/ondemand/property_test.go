package ondemand

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAgainstModel: after any changes and restarts the registry serves what a map of entries says, and routes as a list of them does.
func TestAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	r := open(t, dir, nil)
	model := make(map[string]Entry)
	a, b := twoOnOnePort()
	names := []string{"x", "y", "z", a, b}
	for step := range 150 {
		name := names[rng.IntN(len(names))]
		switch rng.IntN(8) {
		case 0:
			r = open(t, dir, nil)
		case 1, 2:
			_, there := model[name]
			if err := r.Delete(t.Context(), name); (err == nil) != there || err != nil && err != ErrUnknown {
				t.Fatalf("seed %d, step %d: delete %s: %v", seed, step, name, err)
			}
			delete(model, name)
		default:
			e := Entry{name, fmt.Sprintf("h%d", rng.IntN(3)), uint16(rng.IntN(3) * 80)}
			_, there := model[name]
			created, err := r.Put(t.Context(), e)
			if allowed := allowed(model, e); (err == nil) != allowed || err == nil && created == there {
				t.Fatalf("seed %d, step %d: put %+v beside %v: created %t, %v", seed, step, e, model, created, err)
			} else if allowed {
				model[name] = e
			}
		}
		checkModel(t, r, model, func() string { return fmt.Sprintf("seed %d, step %d", seed, step) })
	}
}

// allowed says whether an entry may be beside those of the model.
func allowed(model map[string]Entry, e Entry) bool {
	for _, o := range model {
		if o.Name != e.Name && (o.Hostname == e.Hostname && o.Port == e.Port || GroupPort(o.Name) == GroupPort(e.Name)) {
			return false
		}
	}
	return true
}

func checkModel(t *testing.T, r *Registry, model map[string]Entry, where func() string) {
	t.Helper()
	var got []Entry
	trackers := make(map[string]string)
	for _, in := range r.All() {
		got = append(got, in.Entry)
		trackers[fmt.Sprintf("%p", in.Tracker)] = in.Name
	}
	want := slices.SortedFunc(maps.Values(model), func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	if !slices.Equal(got, want) {
		t.Fatalf("%s: serves %v, want %v", where(), got, want)
	}
	for _, host := range []string{"h0", "h1", "h2", "h3"} {
		for _, port := range []uint16{80, 160, 7} {
			want := ""
			for _, e := range model {
				if e.Hostname == host && (e.Port == port || e.Port == 0 && want == "") {
					want = e.Name
				}
			}
			header := fmt.Sprintf("%s:%d", host, port)
			if got := trackers[fmt.Sprintf("%p", r.Route([]byte(header)))]; got != want {
				t.Fatalf("%s: %s is routed to %q, want %q", where(), header, got, want)
			}
		}
	}
}

// TestRace: changes, requests and listings at once. Whatever a listing shows is
// without contradiction, and what was put last without a deletion is there at the end.
func TestRace(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	end := running(t, r)
	var changes, readers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		changes.Go(func() {
			name := fmt.Sprint("t", i)
			for j := range 10 {
				if _, err := r.Put(context.Background(), Entry{name, name, uint16(j)}); err != nil {
					t.Errorf("put %s: %v", name, err)
				}
				if err := r.Delete(context.Background(), "t0"); err != nil && !errors.Is(err, ErrUnknown) {
					t.Errorf("delete: %v", err)
				}
			}
		})
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.Route([]byte("t1:5"))
				for _, in := range r.All() {
					if in.Tracker == nil || in.Name != in.Hostname {
						t.Errorf("listed %+v", in)
					}
				}
			}
		})
	}
	changes.Wait()
	close(stop)
	readers.Wait()
	end()
	if got := names(r); !strings.HasSuffix(got, "t1@t1:9 t2@t2:9 t3@t3:9") {
		t.Errorf("at the end: %s", got)
	}
}

// BenchmarkRoute is what a request pays for the look at its Host header.
func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{0, 1, maxTrackers} {
		all := make(map[string]*instance)
		for i := range n {
			name := fmt.Sprintf("tracker%d.example.org", i)
			all[name] = &instance{Instance: makeIdle(Entry{name, name, 0})}
		}
		r := new(Registry)
		r.table.Store(newTable(all))
		for kind, host := range map[string]string{"own": "tracker.example.org:6969", "other": "tracker0.example.org:6969"} {
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) {
				header := []byte(host)
				b.ReportAllocs()
				for b.Loop() {
					r.Route(header)
				}
			})
		}
	}
}
