package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"starling/livesync/edits"
)

// someEdits returns entries to be kept.
func someEdits(rng *rand.Rand, n int) []edits.Entry {
	es := make([]edits.Entry, n)
	for i := range es {
		es[i] = edits.Entry{Kind: edits.Deny, Op: edits.Op(1 + rng.IntN(2)), Key: edits.Key{byte(rng.Uint32())}, Time: rng.Uint64(), Reason: []string{"", "because"}[rng.IntN(2)]}
	}
	return es
}

// reopened returns what a file holds.
func reopened(path string) (es []edits.Entry, f *editFile, err error) {
	f, err = openEditFile(path, func(some []edits.Entry) { es = append(es, some...) })
	return es, f, err
}

// TestEditFile cuts the file at every byte, as a crash may: what was whole is read, and what is appended then, too.
func TestEditFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	path := filepath.Join(t.TempDir(), "lists.edits")
	_, f, err := reopened(path)
	if err != nil {
		t.Fatal(err)
	}
	want, more := someEdits(rng, 5), someEdits(rng, 1)
	for _, e := range want {
		if err := f.add([]edits.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	f.f.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) - len(appendEdit(nil, &want[4]))
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, f, err := reopened(path)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !slices.Equal(got, want[:len(got)]) || n >= last && len(got) < 4 || n == len(whole) && len(got) != 5 {
			t.Fatalf("%d bytes: %d entries", n, len(got))
		}
		if err := f.add(more); err != nil {
			t.Fatal(err)
		}
		f.f.Close()
		again, f, err := reopened(path)
		if err != nil || !slices.Equal(again, append(slices.Clip(got), more...)) {
			t.Fatalf("%d bytes: %d entries after one more: %v", n, len(again), err)
		}
		f.f.Close()
	}
	// Damage before the end is no crash.
	for i := range last {
		if err := os.WriteFile(path, append(append(bytes.Clone(whole[:i]), whole[i]^0x40), whole[i+1:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		got, f, err := reopened(path)
		if err == nil {
			f.f.Close()
			if len(got) >= 4 {
				t.Fatalf("damage at %d was not found", i)
			}
		}
	}
}

// TestEditFileRewritten: a file that holds much that is out of date is written anew, and holds the rest.
func TestEditFileRewritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "lists.edits")
	_, f, err := reopened(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.add(someEdits(rng, rewriteLeast)); err != nil {
		t.Fatal(err)
	}
	if f.worn(0) {
		t.Error("it is worn already")
	}
	if err := f.add(someEdits(rng, 1)); err != nil || !f.worn(0) || f.worn(10) {
		t.Errorf("it is not worn: %v", err)
	}
	want := someEdits(rng, 10)
	if err := f.rewrite(func(do func(*edits.Entry)) {
		for i := range want {
			do(&want[i])
		}
	}); err != nil {
		t.Fatal(err)
	}
	more := someEdits(rng, 1)
	if err := f.add(more); err != nil {
		t.Fatal(err)
	}
	f.f.Close()
	got, f, err := reopened(path)
	if err != nil || !slices.Equal(got, append(want, more...)) {
		t.Errorf("%d entries: %v", len(got), err)
	}
	f.f.Close()
}

func FuzzEditFile(f *testing.F) {
	e := someEdits(rand.New(rand.NewPCG(1, 3)), 1)[0]
	f.Add(appendEdit(nil, &e))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, err := readEdit(bytes.NewReader(b))
		if err == nil && !bytes.Equal(appendEdit(nil, &got), b[:n]) {
			t.Errorf("%x read as %+v", b[:n], got)
		}
	})
}
