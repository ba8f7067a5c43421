package fullscrape

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strconv"

	"starling/wire"
)

// Format is how the torrents are written.
type Format uint8

// The formats, by opentracker's names.
const (
	Ben Format = iota // bencoded, as a scrape is
	Txt               // a line each: the info hash in hex, seeders and leechers, with colons between them
	Bin               // 28 bytes each: the info hash, seeders and leechers as 32-bit integers, most significant byte first
	URL               // a line each, the info hash as in a query
)

// ParseFormat reads ben, txt, bin or url.
func ParseFormat(s string) (f Format, ok bool) {
	for f, name := range [...]string{"ben", "txt", "bin", "url"} {
		if s == name {
			return Format(f), true
		}
	}
	return 0, false
}

// append appends a torrent.
func (f Format) append(b []byte, t *wire.ScrapeFile) []byte {
	switch f {
	case Ben:
		return t.Append(b)
	case Bin:
		b = append(b, t.InfoHash[:]...)
		b = binary.BigEndian.AppendUint32(b, t.Seeders)
		return binary.BigEndian.AppendUint32(b, t.Leechers)
	case URL:
		b = appendEscaped(b, t.InfoHash[:])
	default:
		b = append(b, bytes.ToUpper(hex.AppendEncode(nil, t.InfoHash[:]))...)
	}
	b = strconv.AppendUint(append(b, ':'), uint64(t.Seeders), 10)
	b = strconv.AppendUint(append(b, ':'), uint64(t.Leechers), 10)
	return append(b, '\n')
}

// appendEscaped appends bytes as they stand in a query.
func appendEscaped(b, raw []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range raw {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// errCopy says that a copy is not what build writes.
var errCopy = errors.New("full scrape: the copy is damaged")

// convert writes the torrents of an unpacked copy in a format.
func convert(w io.Writer, unpacked io.Reader, f Format) error {
	in, out := make([]byte, 0, 2*pieceSize), make([]byte, 0, 2*pieceSize)
	for begun := false; ; {
		n, err := unpacked.Read(in[len(in):cap(in)])
		in = in[:len(in)+n]
		rest := in
		if !begun && len(rest) >= len(wire.ScrapeBegin) {
			rest, begun = rest[len(wire.ScrapeBegin):], true
		}
		for begun {
			file, size, ok := parseFile(rest)
			if !ok {
				break
			}
			if out, rest = f.append(out, &file), rest[size:]; len(out) >= pieceSize {
				if _, err := w.Write(out); err != nil {
					return err
				}
				out = out[:0]
			}
		}
		in = append(in[:0], rest...)
		switch {
		case err == io.EOF && string(in) == wire.ScrapeEnd:
			_, err := w.Write(out)
			return err
		case err == io.EOF || err == nil && len(in) == cap(in):
			return errCopy
		case err != nil:
			return err
		}
	}
}

// parseFile reads the entry that b begins with, as [wire.ScrapeFile.Append] wrote it.
func parseFile(b []byte) (f wire.ScrapeFile, size int, ok bool) {
	all := b
	word := func(s string) bool {
		rest, found := bytes.CutPrefix(b, []byte(s))
		b = rest
		return found
	}
	number := func() (n uint64, ok bool) {
		end := bytes.IndexByte(b[:min(len(b), 21)], 'e')
		if end < 0 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(b[:end]), 10, 64)
		b = b[end+1:]
		return n, err == nil
	}
	if !word("20:") || len(b) < len(f.InfoHash) {
		return f, 0, false
	}
	b = b[copy(f.InfoHash[:], b):]
	var numbers [4]uint64
	for i, key := range [...]string{"d8:completei", "10:downloadedi", "11:downloadersi", "10:incompletei"} {
		if !word(key) {
			return f, 0, false
		}
		if numbers[i], ok = number(); !ok {
			return f, 0, false
		}
	}
	f.Seeders, f.Downloaded, f.Downloaders, f.Leechers = uint32(numbers[0]), numbers[1], uint32(numbers[2]), uint32(numbers[3])
	if !word("e") {
		return f, 0, false
	}
	return f, len(all) - len(b), true
}
