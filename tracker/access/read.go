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
	"time"

	"starling/wire"
)

const (
	// maxLine is the longest line of a list, in bytes; a mistaken path may lead to a file of another kind.
	maxLine = 1024
	// leastLine is how many bytes a hash takes in a file.
	leastLine = 41
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
// was when it was read, for [Stamp.Same].
func readLines(path string, begin func(size int64), do func(line []byte) error) (Stamp, error) {
	f, err := os.Open(path)
	if err != nil {
		return Stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return Stamp{}, err
	}
	begin(info.Size())
	if err := scan(f, do); err != nil {
		return Stamp{}, fmt.Errorf("%s, %w", path, err)
	}
	was := stampOf(info)
	if info, err = f.Stat(); err == nil && stampOf(info) != was {
		err = fmt.Errorf("%s: %w", path, ErrChanging)
	}
	return was, err
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
// bytes only. What follows a # is a comment.
func ReadHashes(path string) (*Hashes, Stamp, error) {
	var all []wire.InfoHash
	stamp, err := readLines(path, func(size int64) { all = make([]wire.InfoHash, 0, min(size/leastLine+1, maxHashes)) }, func(line []byte) error {
		h, err := parseHash(line)
		if err == nil && len(all) == maxHashes {
			err = fmt.Errorf("more than %d info hashes", uint32(maxHashes))
		}
		all = append(all, h)
		return err
	})
	if err != nil {
		return nil, stamp, err
	}
	if len(all) < cap(all)/4*3 { // it had comments, or hashes of 64 digits
		all = append(make([]wire.InfoHash, 0, len(all)), all...)
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
func ReadPrefixes(path string) ([]netip.Prefix, Stamp, error) {
	var all []netip.Prefix
	stamp, err := readLines(path, func(int64) {}, func(line []byte) error {
		p, err := ParsePrefix(string(line))
		if err == nil && len(all) == maxEntries {
			err = fmt.Errorf("more than %d networks", maxEntries)
		}
		all = append(all, p)
		return err
	})
	return all, stamp, err
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
