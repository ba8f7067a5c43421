package tracker

import (
	"encoding/binary"
	"math/bits"

	"starling/wire"
)

// Peer tables of a torrent: the family in bit 1, the role in bit 0. A peer's role is the table it is in.
const (
	leechers4 = iota
	seeders4
	leechers6
	seeders6
	tables

	roleBit   = 1
	familyBit = 2
)

// familyOf returns the table of leechers of a peer's family.
func familyOf(p *wire.Peer) int {
	if p.Is4() {
		return leechers4
	}
	return leechers6
}

// width returns how many words a peer of a table has.
func width(table int) int {
	if table >= leechers6 {
		return 3
	}
	return 1
}

// torrent is one torrent's record, 56 bytes.
type torrent struct {
	hash       wire.InfoHash
	last       uint32 // minute of the last announce; 0 marks a free record
	downloaded uint64
	next       uint32 // record behind this one in its chain, or in the list of free ones; 0: none
	partial    uint32 // leechers that are partial seeds
	peers      [tables]slot
}

// empty reports whether the torrent has no peers and no directory of them.
func (t *torrent) empty() bool { return t.peers == [tables]slot{} }

const (
	recordsChunk = 256  // records in a chunk: 14,336 bytes, a size that Go's allocator hands out without waste
	headChunk    = 1024 // heads in a chunk
)

// extend adds head n to the chunks of heads. A chunk that is the only one grows as a slice does, by moving what is in it: a small table
// takes little memory and a large one never pauses.
func extend(heads [][]uint32, n uint32) [][]uint32 {
	if i := int(n / headChunk); i == len(heads) {
		heads = append(heads, nil)
	}
	i := n / headChunk
	heads[i] = stretch(heads[i], len(heads) == 1, n%headChunk, headChunk)
	return heads
}

// stretch makes room for element n in a chunk that will have size elements in the end: now, unless it is the only chunk.
func stretch[T any](chunk []T, only bool, n, size uint32) []T {
	if int(n) < len(chunk) {
		return chunk
	}
	longer := size
	if only {
		longer = min(max(2*n, 4), size)
	}
	return append(make([]T, 0, longer), chunk...)[:longer]
}

// torrents is a hash table of records by linear hashing: there are as many chains as torrents.
// A new torrent splits one chain in two, a removed one joins two, so that no operation
// ever touches more than a few records, however many there are. A record's number changes only when a sweep moves it.
type torrents struct {
	key     hashKey
	records [][]torrent   // in chunks; number 1 is the first
	chunks  []recordChunk // of each chunk of records, what is in it
	open    []uint32      // chunks of records that have room, or once had
	vacant  []uint32      // chunks of records that were given back
	heads   [][]uint32    // in chunks; the first record of each chain, 0: none
	count   uint32        // torrents there are
	mem     *allowance    // from which whoever adds a torrent takes chunks of records; nil: there is no limit
}

// recordChunk is what there is to know of a chunk of records. Those that were used and are free now are listed by number.
type recordChunk struct {
	used    uint16 // torrents in it
	made    uint16 // records that were ever used
	free    uint32 // first free record, 0: none
	open    bool   // it is among those that may have room
	leaving bool   // no torrent is put here, and those that are here go elsewhere
}

func topBit(n uint32) uint32 { return 1 << (bits.Len32(n) - 1) }

// record returns a record by its number. It is good until a torrent is added.
func (t *torrents) record(id uint32) *torrent {
	id--
	return &t.records[id/recordsChunk][id%recordsChunk]
}

// last returns the highest number that a record may have.
func (t *torrents) last() uint32 { return uint32(len(t.records)) * recordsChunk }

// live returns the record of that number if it is a torrent's, else nil.
func (t *torrents) live(id uint32) *torrent {
	chunk := t.records[(id-1)/recordsChunk]
	if i := (id - 1) % recordsChunk; i < uint32(len(chunk)) && chunk[i].last != 0 {
		return &chunk[i]
	}
	return nil
}

// head returns the head of chain i.
func (t *torrents) head(i uint32) *uint32 { return &t.heads[i/headChunk][i%headChunk] }

// find returns the torrent of that name, nil when there is none. The hash is the key's of the name.
func (t *torrents) find(hash uint32, name *wire.InfoHash) *torrent {
	if id := t.behind(t.first(hash), name); id != 0 {
		return t.record(id)
	}
	return nil
}

// first returns the number of the first record in the chain where a torrent with that hash is, 0 when the chain is empty.
func (t *torrents) first(hash uint32) uint32 {
	if t.count == 0 {
		return 0
	}
	return *t.head(linear(hash, t.count))
}

// behind returns the number of a torrent's record, which is id or behind it in the chain; 0 when it is not.
func (t *torrents) behind(id uint32, name *wire.InfoHash) uint32 {
	for id != 0 {
		r := t.record(id)
		if same(&r.hash, name) {
			break
		}
		id = r.next
	}
	return id
}

// still returns the record with number id if it is that of a torrent, else nil.
func (t *torrents) still(id uint32, name *wire.InfoHash) *torrent {
	if id != 0 {
		if r := t.record(id); r.last != 0 && same(&r.hash, name) {
			return r
		}
	}
	return nil
}

// same compares two names. The compiler calls a function for it, which takes longer than the few instructions that it takes.
func same(a, b *wire.InfoHash) bool {
	return binary.LittleEndian.Uint64(a[0:]) == binary.LittleEndian.Uint64(b[0:]) &&
		binary.LittleEndian.Uint64(a[8:]) == binary.LittleEndian.Uint64(b[8:]) &&
		binary.LittleEndian.Uint32(a[16:]) == binary.LittleEndian.Uint32(b[16:])
}

// add makes a record for a torrent that has none.
func (t *torrents) add(hash uint32, name *wire.InfoHash, minute uint32) *torrent {
	id := t.take()
	t.split()
	head := t.head(linear(hash, t.count))
	r := t.record(id)
	*r = torrent{hash: *name, last: minute, next: *head}
	*head = id
	return r
}

// split adds a chain and fills it from the one whose upper half it is.
func (t *torrents) split() {
	t.heads = extend(t.heads, t.count)
	added := t.count
	t.count++
	if added == 0 {
		return
	}
	from, to := t.head(added-topBit(added)), t.head(added)
	for id := *from; id != 0; {
		r := t.record(id)
		if linear(t.key.infoHash(&r.hash), t.count) == added {
			*from, *to = r.next, id
			to = &r.next
		} else {
			from = &r.next
		}
		id = r.next
	}
	*to = 0
}

// remove frees the record of a torrent that is there.
func (t *torrents) remove(r *torrent) {
	link := t.head(linear(t.key.infoHash(&r.hash), t.count))
	for t.record(*link) != r {
		link = &t.record(*link).next
	}
	id := *link
	*link = r.next
	t.put(id)
	t.join()
}

// join takes the last chain away and puts what is in it back to the one it was split from.
func (t *torrents) join() {
	t.count--
	last := t.count
	if last == 0 {
		t.heads = nil
		return
	}
	from, to := t.head(last), t.head(last-topBit(last))
	for *to != 0 {
		to = &t.record(*to).next
	}
	*to, *from = *from, 0
	if n := len(t.heads); n > 2 && last < uint32(n-2)*headChunk {
		t.heads[n-1] = nil
		t.heads = clipped(t.heads[:n-1])
	}
}

// bytes returns the memory the table holds.
func (t *torrents) bytes() uint64 {
	return arrayBytes(t.records, 56) + arrayBytes(t.heads, 4) + uint64(cap(t.chunks))*12 + uint64(cap(t.open)+cap(t.vacant))*4
}

// arrayBytes returns the memory of chunks whose elements have the given size.
func arrayBytes[T any](chunks [][]T, size uint64) uint64 {
	n := uint64(cap(chunks)) * 24
	for _, c := range chunks {
		n += uint64(cap(c)) * size
	}
	return n
}
