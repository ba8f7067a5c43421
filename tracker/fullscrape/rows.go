package fullscrape

import (
	"bytes"
	"encoding/binary"
	"slices"

	"starling/tracker"
	"starling/wire"
)

// Rows stand in buckets by the first bits of their info hashes, in chunks that none crosses the end of.
const (
	bucketBits = 10
	rowChunk   = 4 << 10
	maxRow     = len(wire.InfoHash{}) + 3*binary.MaxVarintLen32 + binary.MaxVarintLen64
)

// rows holds the counts of torrents until they are sorted. A row is an info hash and four varints: seeders, leechers,
// partial seeds among them, completions.
type rows struct {
	buckets [1 << bucketBits][][]byte
	loan    loan // for the chunks; what there is no memory for is left out
}

// add takes in a torrent.
func (r *rows) add(t tracker.Counted) {
	b := &r.buckets[binary.BigEndian.Uint16(t.InfoHash[:])>>(16-bucketBits)]
	last := len(*b) - 1
	if last < 0 || cap((*b)[last])-len((*b)[last]) < maxRow {
		if r.loan.add(rowChunk); r.loan.refused {
			return
		}
		*b = append(*b, make([]byte, 0, rowChunk))
		last++
	}
	c := append((*b)[last], t.InfoHash[:]...)
	c = binary.AppendUvarint(c, uint64(t.Seeders))
	c = binary.AppendUvarint(c, uint64(t.Leechers))
	c = binary.AppendUvarint(c, uint64(t.Partial))
	(*b)[last] = binary.AppendUvarint(c, t.Downloaded)
}

// take returns the rows of a bucket in the order of their info hashes, and gives them up. Those of one info hash, which
// left and came back during the walk, are one. It calls pause after each bit of work.
func (r *rows) take(bucket int, dst []wire.ScrapeFile, pause func()) []wire.ScrapeFile {
	const compares = 1 << 10 // some 50 microseconds
	dst = dst[:0]
	for _, chunk := range r.buckets[bucket] {
		for len(chunk) > 0 {
			f, n := parseRow(chunk)
			dst, chunk = append(dst, f), chunk[n:]
		}
		pause()
	}
	r.loan.add(-int64(len(r.buckets[bucket])) * rowChunk)
	r.buckets[bucket] = nil
	compared := 0
	slices.SortFunc(dst, func(x, y wire.ScrapeFile) int {
		if compared++; compared%compares == 0 {
			pause()
		}
		return bytes.Compare(x.InfoHash[:], y.InfoHash[:])
	})
	return slices.CompactFunc(dst, func(x, y wire.ScrapeFile) bool { return x.InfoHash == y.InfoHash })
}

// parseRow reads the row that b begins with and returns its length.
func parseRow(b []byte) (f wire.ScrapeFile, n int) {
	n = copy(f.InfoHash[:], b)
	number := func() uint64 {
		v, size := binary.Uvarint(b[n:])
		n += size
		return v
	}
	f.Seeders = uint32(number())
	f.Leechers = uint32(number())
	f.Downloaders = f.Leechers - min(uint32(number()), f.Leechers)
	f.Downloaded = number()
	return f, n
}
