package catchup

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"starling/wire"
)

func noPause(time.Duration) error { return nil }

// TestSnapshot writes a file and reads it: nobody else may read it, and nothing is left beside it.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "snapshot")
	for n := range 3 {
		x := someSwarms(rand.New(rand.NewPCG(1, uint64(n))), 500+n)
		size, err := SaveSnapshot(path, NewTeller(epoch, someHeader, Memory{}, pieces(x)), noPause)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v, want %d bytes for its owner only", info, err, size)
		}
		members := 0
		err = LoadSnapshot(path, func(b *Block) {
			if b.Excerpt != nil {
				members += len(b.Excerpt.Members)
			}
		})
		if err != nil || members != len(x.Members) {
			t.Fatalf("%v, %d members of %d", err, members, len(x.Members))
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestSnapshotInterrupted gives up at every block: the old file stays, whole.
func TestSnapshotInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	save := func(blocks int) error {
		x := someSwarms(rand.New(rand.NewPCG(1, 1)), 3000)
		_, err := SaveSnapshot(path, NewTeller(epoch, someHeader, Memory{}, pieces(x)), func(time.Duration) error {
			if blocks--; blocks == 0 {
				return errors.New("enough")
			}
			return nil
		})
		return err
	}
	if err := save(-1); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; save(n) != nil; n++ {
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("given up at block %d: %v, or another file", n, err)
		}
	}
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file: %v", err)
	}
}

// TestSnapshotDamaged cuts and changes a file: not a block of it is handed over.
func TestSnapshotDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	whole := tell(someHeader, nil, someSwarms(rand.New(rand.NewPCG(1, 1)), 2000))
	check := func(b []byte, what string, n int) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamageError
		if err := LoadSnapshot(path, func(*Block) { t.Fatalf("%s %d: a block was handed over", what, n) }); !errors.As(err, &damaged) || damaged.Path != path {
			t.Fatalf("%s %d: %v", what, n, err)
		}
	}
	for n := 0; n < len(whole); n += 97 {
		check(whole[:n], "cut at", n)
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		check(bad, "changed at", n)
	}
	check(append(bytes.Clone(whole), 0), "a byte behind it,", 1)
	if err := LoadSnapshot(path+"-none", func(*Block) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// FuzzSnapshot reads files that anybody may have written: none is half believed.
func FuzzSnapshot(f *testing.F) {
	f.Add(tell(someHeader, nil, someSwarms(rand.New(rand.NewPCG(2, 2)), 50)))
	f.Add(forge(KindSwarms, (&wire.Excerpt{Swarms: []wire.Swarm{{}}}).Append(nil), wire.SwarmSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		blocks := 0
		ended := false
		err := ReadStream(bytes.NewReader(mend(b)), func(b *Block) {
			blocks++
			ended = b.Kind == KindEnd
		})
		if err == nil && (!ended || blocks < 2) {
			t.Fatalf("whole with %d blocks, ended %v", blocks, ended)
		}
	})
}
