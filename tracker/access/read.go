package access

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"syscall"
	"time"

	"starling/wire"
)

const (
	// maxLine is the longest line of a list, in bytes; a mistaken path may lead to a file of another kind.
	maxLine = 1024
	// maxHashes is how many a list may have: their numbers have 32 bits.
	maxHashes = math.MaxUint32
	// maxEntries is how many networks, or keys, a list may have.
	maxEntries = 1 << 24
)

// ErrChanging says that a file was written to while it was read: what was read may be half of it.
var ErrChanging = errors.New("the file changed while it was read")

// LineError says which line of a file is wrong.
type LineError struct {
	Line   int
	Reason string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// readLines calls do with each line of a file that has something but a comment in it, without that and without spaces around. It returns what the file
// was when it was read, for a comparison with [StampOf].
func readLines(path string, do func(line []byte) error) (Stamp, error) {
	return readFile(path, func(f *os.File) error { return scan(f, do) })
}

// readFile calls read with an open file, and returns what the file was meanwhile.
func readFile(path string, read func(*os.File) error) (Stamp, error) {
	f, err := openRegular(path)
	if err != nil {
		return Stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Stamp{}, err
	}
	was, wrong := stampOf(info), read(f)
	switch info, err = f.Stat(); {
	case err != nil:
		return Stamp{}, err
	case stampOf(info) != was: // whatever is wrong
		return Stamp{}, fmt.Errorf("%s: %w", path, ErrChanging)
	case wrong != nil:
		return Stamp{}, fmt.Errorf("%s, %w", path, wrong)
	}
	return was, nil
}

// openRegular opens a file for reading, and nothing else that a path may lead to: to open a pipe waits for who writes to it, and to open some devices does
// something. What takes the file's place in between is opened without waiting, and refused.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = regular(path, info)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// regular says what a path leads to when it is no regular file.
func regular(path string, info fs.FileInfo) error {
	is := "something else"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		is = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		is = "a pipe"
	case mode&fs.ModeDevice != 0:
		is = "a device"
	case mode&fs.ModeSocket != 0:
		is = "a socket"
	}
	return fmt.Errorf("%s is %s: a list is a regular file", path, is)
}

// scan reads the lines of a list.
func scan(r io.Reader, do func(line []byte) error) error {
	lines := bufio.NewReaderSize(r, 1<<18)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case len(line) > maxLine:
			return &LineError{number, fmt.Sprintf("longer than %d bytes", maxLine)}
		case err != nil && err != io.EOF:
			return err
		}
		text, _, _ := bytes.Cut(line, []byte("#"))
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if wrong := do(text); wrong != nil {
				return &LineError{number, wrong.Error()}
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// Stamp tells whether a file is still the one that was read.
type Stamp struct {
	size     int64
	modified time.Time
	inode    uint64
}

// StampOf returns the stamp of a file as it is now.
func StampOf(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	return stampOf(info), nil
}

func stampOf(info fs.FileInfo) Stamp {
	return Stamp{size: info.Size(), modified: info.ModTime(), inode: inode(info)}
}

// digits has the value of each hexadecimal digit, and more than 15 for what is none.
var digits = func() (d [256]byte) {
	for i := range d {
		d[i] = 0xff
	}
	for i, c := range "0123456789abcdef" {
		d[c] = byte(i)
	}
	for i, c := range "ABCDEF" {
		d[c] = byte(10 + i)
	}
	return d
}()

// ReadHashes reads a list of info hashes: one in a line, as 40 hexadecimal digits, or the 64 of a BEP 52 hash, of which a tracker sees the first 20
// bytes only. What follows a # is a comment. It is gone through twice, to find what is wrong, and how much room it takes, before there is any.
func ReadHashes(path string) (*Hashes, Stamp, error) {
	var all []wire.InfoHash
	stamp, err := readFile(path, func(f *os.File) error {
		n := 0
		err := scan(f, func(line []byte) error {
			if n++; n > maxHashes {
				return fmt.Errorf("more than %d info hashes", uint32(maxHashes))
			}
			_, err := parseHash(line)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		all = make([]wire.InfoHash, 0, n)
		return scan(f, func(line []byte) error {
			h, err := parseHash(line)
			if err == nil && len(all) == n {
				err = ErrChanging
			}
			all = append(all, h)
			return err
		})
	})
	if err != nil {
		return nil, stamp, err
	}
	return NewHashes(all), stamp, nil
}

// parseHash reads the digits of a hash.
func parseHash(text []byte) (h wire.InfoHash, err error) {
	if len(text) != 40 && len(text) != 64 {
		return h, fmt.Errorf("%.80q is no info hash of 40 or 64 hexadecimal digits", text)
	}
	for i := 0; i < len(text); i += 2 {
		high, low := digits[text[i]], digits[text[i+1]]
		if high|low > 15 {
			return h, fmt.Errorf("%.80q is no info hash: it has other characters than hexadecimal digits", text)
		}
		if i < 40 {
			h[i/2] = high<<4 | low
		}
	}
	return h, nil
}

// ReadPrefixes reads a list of clients: in each line an address, or a network such as 192.0.2.0/24 or 2001:db8::/32.
func ReadPrefixes(path string) (*Prefixes, Stamp, error) {
	all := new(Prefixes)
	stamp, err := readLines(path, func(line []byte) error {
		p, err := ParsePrefix(string(line))
		if err == nil && all.Len() == maxEntries {
			err = fmt.Errorf("more than %d networks", maxEntries)
		}
		if err == nil {
			all.table.Insert(p)
		}
		return err
	})
	if err != nil {
		return nil, stamp, err
	}
	return all, stamp, nil
}

// ParsePrefix reads an address or a network. One whose address has bits beyond its length is refused: either may have been meant.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		if a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%.80q is neither an address nor a network such as 192.0.2.0/24", text)
	case p != p.Masked():
		return p, fmt.Errorf("%.80q has bits beyond its length: the network is %s", text, p.Masked())
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%.80q: write IPv4 networks as such", text)
	}
	return p, nil
}
