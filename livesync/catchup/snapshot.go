package catchup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// SaveSnapshot writes a stream to a file, which at any moment is the old one or the new one, whole, whatever happens to the
// program or the machine. Nobody else may read it. After each block pause is called with how long that took; it
// may wait, or give up with an error. It returns the size of the file.
func SaveSnapshot(path string, t *Teller, pause func(worked time.Duration) error) (size int64, err error) {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	size, err = WriteStream(f, t, pause)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return 0, err
	}
	return size, syncDirectory(filepath.Dir(path))
}

// WriteStream writes a stream, as SaveSnapshot does.
func WriteStream(w io.Writer, t *Teller, pause func(worked time.Duration) error) (size int64, err error) {
	for {
		began := time.Now()
		b := t.Next(began)
		if b == nil {
			return size, nil
		}
		n, err := w.Write(b)
		size += int64(n)
		if err == nil {
			err = pause(time.Since(began))
		}
		if err != nil {
			return size, err
		}
	}
}

// syncDirectory makes a file's new name last.
func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// LoadSnapshot reads a file twice: first to see that all of it is as it was written, and only then to hand its blocks to take. An error
// that is a [DamageError] says that it is not; nothing was handed over.
func LoadSnapshot(path string, take func(*Block)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := ReadStream(f, func(*Block) {}); err != nil {
		return &DamageError{path, err}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return ReadStream(f, take)
}

// DamageError says that a snapshot is not as it was written.
type DamageError struct {
	Path string
	err  error
}

func (e *DamageError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.Path, e.err) }

func (e *DamageError) Unwrap() error { return e.err }

// ReadStream hands the blocks of a whole stream to take. There must be nothing behind its end.
func ReadStream(r io.Reader, take func(*Block)) error {
	in := bufio.NewReaderSize(r, fullBlock)
	d := NewDecoder()
	var buf []byte
	for d.Size() > 0 {
		if cap(buf) < d.Size() {
			buf = make([]byte, max(d.Size(), fullBlock))
		}
		b := buf[:d.Size()]
		if _, err := io.ReadFull(in, b); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		block, err := d.Next(b)
		if err != nil {
			return err
		}
		if block != nil {
			take(block)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return ErrOrder
	}
	return nil
}
