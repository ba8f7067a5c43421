package ondemand

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a file, in bytes: none of ours has more than a few hundred.
const maxFile = 64 << 10

// Endings of files that are not read.
const (
	temporary = ".tmp"     // a write that a crash broke off
	damaged   = ".damaged" // put aside
)

// document is the form of a file.
type document struct {
	OnDemand *Entry `toml:"ondemand"`
}

// directory is where the entries are kept, a file for each. It is made by the first write.
type directory string

// kept is an entry and where it was found.
type kept struct {
	Entry
	path string
}

// trouble is a file that no entry was made of.
type trouble struct {
	path string
	err  error
}

// errDamaged is in all errors about what a file holds, as opposed to those of reading it.
var errDamaged = errors.New("damaged")

// load reads all files, in the order of their names, and removes left-overs. An error means that the directory cannot be read at all.
func (d directory) load() (all []kept, troubles []trouble, err error) {
	files, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		path := filepath.Join(string(d), f.Name())
		switch {
		case strings.HasSuffix(path, temporary) && f.Type().IsRegular():
			os.Remove(path) // tried again at the next start
			continue
		case strings.HasSuffix(path, damaged):
			continue
		case !f.Type().IsRegular():
			troubles = append(troubles, trouble{path, errors.New("not a regular file")})
			continue
		}
		entry, err := read(path)
		if err != nil {
			troubles = append(troubles, trouble{path, err})
			continue
		}
		all = append(all, kept{entry, path})
	}
	return all, troubles, nil
}

// read reads one file. It is strict: what it does not understand, an operator
// or a later version has meant something by.
func read(path string) (Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Entry{}, err
	}
	e, err := parse(text)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return e, nil
}

// parse reads the text of a file.
func parse(text []byte) (Entry, error) {
	if len(text) > maxFile {
		return Entry{}, fmt.Errorf("longer than %d bytes", maxFile)
	}
	var doc document
	meta, err := toml.Decode(string(text), &doc)
	if err != nil {
		return Entry{}, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Entry{}, fmt.Errorf("unknown key %s", unknown[0])
	}
	if doc.OnDemand == nil {
		return Entry{}, errors.New("no table [ondemand]")
	}
	if meta.IsDefined("ondemand", "port") && doc.OnDemand.Port == 0 {
		return Entry{}, &EntryError{"port", "0 is none; leave it out for any"}
	}
	return doc.OnDemand.normalized()
}

// text returns what the file of an entry holds. Its strings need no more than
// quotes. The port comes first, so that a file that was cut off anywhere is
// damaged and not one with another port.
func (e Entry) text() string {
	port := ""
	if e.Port != 0 {
		port = fmt.Sprintf("port = %d\n", e.Port)
	}
	return fmt.Sprintf("[ondemand]\n%sname = %q\nhostname = %q\n", port, e.Name, e.Hostname)
}

// write keeps an entry in a file: after a crash at any moment it holds what it held before or the entry.
func (d directory) write(path string, e Entry) error {
	if err := d.make(); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), "*"+temporary)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its final name
	_, err = io.WriteString(f, e.text())
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(string(d))
}

// make makes the directory if it is missing, but not its parent.
func (d directory) make() error {
	err := os.Mkdir(string(d), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(string(d)))
}

// remove removes a file. One that is not there is no error: it is what was wanted.
func (d directory) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirectory(string(d))
}

// putAside renames a damaged file so that it is not read again and nothing of it is lost.
func putAside(path string) (aside string, err error) {
	aside = free(path, damaged)
	return aside, os.Rename(path, aside)
}

// pathFor returns a path without a file for the entry of a name.
func (d directory) pathFor(name string) string { return free(filepath.Join(string(d), name), ".toml") }

// free returns path with an ending, and a number before it if there is such a file already.
func free(path, ending string) string {
	candidate := path + ending
	for i := 2; ; i++ {
		if _, err := os.Lstat(candidate); err != nil { // when it is there and cannot be seen, writing to it fails
			return candidate
		}
		candidate = fmt.Sprintf("%s.%d%s", path, i, ending)
	}
}

// syncDirectory makes names that were made or removed in a directory outlast a crash.
func syncDirectory(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
