package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"starling/livesync/edits"
)

// editFile keeps the changes of lists in a file, so that they outlast a restart. A change is appended and on the disk before it is said to be made:
//
//	| starling lists 1\n | (length of entry u16 | entry of package wire | CRC-32C of both u32)* |
//
// Of an entry that stands in it more than once the one that counts is found as in a cluster. Now and then the file is written anew without the others. A
// crash may leave half an entry at the end, which is cut off.
type editFile struct {
	path     string
	f        *os.File
	size     int64 // of what is whole
	appended int   // entries that are in the file
}

const (
	editMagic     = "starling lists 1\n"
	maxEditRecord = 2 + 107 + 4
	// rewriteLeast is how many entries of a file may be out of date in any case; else it is as many as are not.
	rewriteLeast = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errEdits says that a file is none of ours, or damaged.
var errEdits = errors.New("damaged, or no file of this program")

// openEditFile opens the file, or makes it, and hands over what it holds, some entries at a time.
func openEditFile(path string, load func([]edits.Entry)) (*editFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	e := &editFile{path: path, f: f}
	if err := e.read(load); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w; move it away to begin with what the other nodes know", path, err)
	}
	return e, nil
}

// read reads the file to its end, or to where a crash broke it off.
func (e *editFile) read(load func([]edits.Entry)) error {
	r := bufio.NewReaderSize(e.f, 1<<16)
	head := make([]byte, len(editMagic))
	switch n, err := io.ReadFull(r, head); {
	case err == nil && string(head) != editMagic:
		return errEdits
	case err != nil && string(head[:n]) != editMagic[:n]:
		return errEdits
	case err != nil: // it is new, or a crash broke its beginning off
		return e.begin()
	}
	e.size = int64(len(editMagic))
	for {
		entry, n, err := readEdit(r)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			if _, more := r.Peek(1); more == io.EOF {
				break // a crash: the last entry is not whole
			}
			return err
		}
		load([]edits.Entry{entry})
		e.size += n
		e.appended++
	}
	return e.cut()
}

// begin writes the beginning of a new file.
func (e *editFile) begin() error {
	if err := e.cut(); err != nil {
		return err
	}
	_, err := e.f.WriteString(editMagic)
	e.size = int64(len(editMagic))
	return errors.Join(err, e.f.Sync())
}

// cut takes away what is behind the last whole entry.
func (e *editFile) cut() error {
	_, err := e.f.Seek(e.size, io.SeekStart)
	return errors.Join(e.f.Truncate(e.size), err)
}

// readEdit reads an entry and returns how many bytes it takes.
func readEdit(r io.Reader) (entry edits.Entry, n int64, err error) {
	var b [maxEditRecord]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return entry, 0, err
	}
	length := 2 + int(binary.BigEndian.Uint16(b[:]))
	if length+4 > len(b) {
		return entry, 0, errEdits
	}
	if _, err := io.ReadFull(r, b[2:length+4]); err != nil {
		return entry, 0, io.ErrUnexpectedEOF
	}
	if crc32.Checksum(b[:length], castagnoli) != binary.BigEndian.Uint32(b[length:]) {
		return entry, 0, errEdits
	}
	entry, rest, err := edits.Parse(b[2:length])
	if err != nil || len(rest) > 0 {
		return entry, 0, errEdits
	}
	return entry, int64(length + 4), nil
}

// appendEdit appends an entry as it is in the file.
func appendEdit(b []byte, e *edits.Entry) []byte {
	start := len(b)
	b = e.Append(append(b, 0, 0))
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-2))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// add puts entries on the disk.
func (e *editFile) add(es []edits.Entry) error {
	var b []byte
	for i := range es {
		b = appendEdit(b, &es[i])
	}
	_, err := e.f.Write(b)
	if err = errors.Join(err, e.f.Sync()); err != nil {
		return errors.Join(err, e.cut()) // so that the next one does not stand behind half of this
	}
	e.size += int64(len(b))
	e.appended += len(es)
	return nil
}

// worn reports whether the file should be written anew, when so many entries are in force.
func (e *editFile) worn(entries int) bool { return e.appended-entries > max(entries, rewriteLeast) }

// rewrite writes the file anew, with what each calls its function with. After a crash at any moment the old file is there or the new one.
func (e *editFile) rewrite(each func(do func(*edits.Entry))) error {
	f, err := os.CreateTemp(filepath.Dir(e.path), filepath.Base(e.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file has its final name
	w := bufio.NewWriterSize(f, 1<<16)
	w.WriteString(editMagic) // the writer keeps the error
	size, n := int64(len(editMagic)), 0
	var b []byte
	each(func(entry *edits.Entry) {
		b = appendEdit(b[:0], entry)
		w.Write(b)
		size += int64(len(b))
		n++
	})
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := os.Rename(f.Name(), e.path); err != nil {
		return errors.Join(err, f.Close())
	}
	e.f.Close()
	e.f, e.size, e.appended = f, size, n
	return syncDirectory(filepath.Dir(e.path))
}

// syncDirectory makes the names in a directory outlast a crash.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeLeftovers removes files of a rewrite that a crash broke off.
func removeLeftovers(path string) {
	left, _ := filepath.Glob(path + ".*.tmp") // the pattern is right
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}
