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
	recordChunk = 256  // records in a chunk: 14,336 bytes, a size that Go's allocator hands out without waste
	headChunk   = 1024 // heads in a chunk
)

// extend adds element n to an array in chunks of size elements, if n is the number behind the last. Only the first
// chunk grows as a slice does, by moving what is in it: a small table takes little memory and a large one never pauses.
func extend[T any](chunks [][]T, n, size uint32) [][]T {
	if n >= size {
		if int(n/size) == len(chunks) {
			chunks = append(chunks, make([]T, size))
		}
		return chunks
	}
	if len(chunks) == 0 {
		chunks = append(chunks, nil)
	}
	if int(n) == len(chunks[0]) {
		chunks[0] = append(chunks[0], *new(T))
	}
	return chunks
}

// torrents is a hash table of records by linear hashing: there are as many chains as torrents.
// A new torrent splits one chain in two, a removed one joins two, so that no operation
// ever touches more than a few records, however many there are. A record's number never changes.
type torrents struct {
	key     hashKey
	records [][]torrent // in chunks; number 1 is the first
	heads   [][]uint32  // in chunks; the first record of each chain, 0: none
	count   uint32      // torrents there are
	made    uint32      // records that were ever used
	free    uint32      // first free record, 0: none
}

func topBit(n uint32) uint32 { return 1 << (bits.Len32(n) - 1) }

// record returns a record by its number. It is good until a torrent is added.
func (t *torrents) record(id uint32) *torrent {
	id--
	return &t.records[id/recordChunk][id%recordChunk]
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
	id := t.free
	if id != 0 {
		t.free = t.record(id).next
	} else {
		t.records = extend(t.records, t.made, recordChunk)
		t.made++
		id = t.made
	}
	t.split()
	head := t.head(linear(hash, t.count))
	r := t.record(id)
	*r = torrent{hash: *name, last: minute, next: *head}
	*head = id
	return r
}

// split adds a chain and fills it from the one whose upper half it is.
func (t *torrents) split() {
	t.heads = extend(t.heads, t.count, headChunk)
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
	*r = torrent{next: t.free}
	t.free = id
	t.join()
}

// join takes the last chain away and puts what is in it back to the one it was split from.
func (t *torrents) join() {
	t.count--
	last := t.count
	if last == 0 {
		return
	}
	from, to := t.head(last), t.head(last-topBit(last))
	for *to != 0 {
		to = &t.record(*to).next
	}
	*to, *from = *from, 0
}

// bytes returns the memory the table holds.
func (t *torrents) bytes() uint64 {
	return chunkBytes(t.records, 56) + chunkBytes(t.heads, 4)
}

// chunkBytes returns the memory of chunks whose elements have the given size.
func chunkBytes[T any](chunks [][]T, size uint64) uint64 {
	n := uint64(cap(chunks)) * 24
	for _, c := range chunks {
		n += uint64(cap(c)) * size
	}
	return n
}
