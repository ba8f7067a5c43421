package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"starling/wire"
)

// identity is where the id of a node comes from and where a new one is kept.
type identity struct {
	dir   string // the state directory; empty: nothing is kept
	id    wire.NodeID
	fixed bool // given by flag: neither replaced nor written
}

// findIdentity returns the id given by flag, else the kept one, else a new one, which it keeps when there is a state directory.
func findIdentity(cfg *config) (*identity, error) {
	n := &identity{dir: cfg.stateDir, id: cfg.id, fixed: cfg.id != wire.NodeID{}}
	if n.dir != "" {
		if err := makeStateDir(n.dir); err != nil {
			return nil, err
		}
	}
	if n.fixed {
		return n, nil
	}
	id, err := n.load()
	if err == nil {
		n.id = id
		return n, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for n.id == (wire.NodeID{}) {
		rand.Read(n.id[:]) // never fails: the program ends when the system has no randomness
	}
	return n, n.save(n.id)
}

// makeStateDir makes the directory when it is missing, but not its parents: a mistyped path shall be an error.
func makeStateDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	return err
}

func (n *identity) path() string { return filepath.Join(n.dir, "tracker-id") }

// load returns the kept id; fs.ErrNotExist when there is none.
func (n *identity) load() (wire.NodeID, error) {
	if n.dir == "" {
		return wire.NodeID{}, fs.ErrNotExist
	}
	text, err := readBounded(n.path())
	if err != nil {
		return wire.NodeID{}, err
	}
	id, err := wire.ParseNodeID(strings.TrimSpace(text))
	if err != nil {
		return id, fmt.Errorf("%s: %w; remove the file for a new id", n.path(), err)
	}
	return id, nil
}

// save keeps an id: after a crash at any moment the file holds the old id or the new one.
func (n *identity) save(id wire.NodeID) error {
	if n.dir == "" || n.fixed {
		return nil
	}
	f, err := os.CreateTemp(n.dir, "tracker-id.*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its final name
	_, err = fmt.Fprintln(f, id)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), n.path())
}
