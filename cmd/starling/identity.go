package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"starling/wire"
)

// identity is where the id of a node comes from and where a new one is kept.
type identity struct {
	dir   string // the state directory; empty: nothing is kept
	id    wire.NodeID
	fixed bool // given by flag: neither replaced nor written

	mu     sync.Mutex // guards epochs, and the file of them
	epochs uint64     // the latest that was given out
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
	if cfg.handed != nil {
		n.id = cfg.handed.ID
	}
	for n.id == (wire.NodeID{}) {
		rand.Read(n.id[:]) // never fails: the program ends when the system has no randomness
	}
	return n, n.save(n.id)
}

// makeStateDir makes the directory when it is missing, but not its parents: a mistyped path shall be an error.
func makeStateDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be made, since %s is not there", dir, filepath.Dir(filepath.Clean(dir)))
	case !errors.Is(err, fs.ErrExist):
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

// save keeps an id.
func (n *identity) save(id wire.NodeID) error {
	if n.fixed {
		return nil
	}
	return n.keep("tracker-id", id.String())
}

// epochGap is how far apart the epochs of two starts are at least: livesync counts on from an epoch when its sequences run out.
const epochGap = 1 << 20

// epoch returns a number that no other start under this id had, and keeps it: nanoseconds, unless the clock shows less than the kept
// one. Each livesync of this node has its own.
func (n *identity) epoch(now time.Time) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := max(uint64(now.UnixNano()), n.epochs+epochGap)
	if n.dir != "" {
		text, err := readBounded(filepath.Join(n.dir, "epoch"))
		if err == nil {
			var kept uint64
			if kept, err = strconv.ParseUint(strings.TrimSpace(text), 10, 63); err != nil {
				return 0, fmt.Errorf("%s: %w; remove the file if the clock of this host is right", filepath.Join(n.dir, "epoch"), err)
			}
			number = max(number, kept+epochGap)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	n.epochs = number
	return number, n.keep("epoch", strconv.FormatUint(number, 10))
}

// keep writes a line to a file: after a crash at any moment it holds the old line or the new one.
func (n *identity) keep(name, line string) error {
	if n.dir == "" {
		return nil
	}
	f, err := os.CreateTemp(n.dir, name+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its final name
	_, err = fmt.Fprintln(f, line)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(n.dir, name))
}
