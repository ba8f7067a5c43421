package edits

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"starling/wire"
)

// Kind is a list. The numbers are those of the wire: they stay what they are.
type Kind uint8

// The kinds.
const (
	Deny    Kind = 1 // torrents that are not served; the key is the info hash
	Allow   Kind = 2 // torrents that are served beside those of the allow list
	Client  Kind = 3 // clients that are not served; the key is [PrefixKey]'s
	Passkey Kind = 4 // of private mode; the key is the digest of a passkey
	Jail    Kind = 5 // clients that are in the jail until an end; the key is [PrefixKey]'s, the reason the offence
)

// Op is what happened to an entry.
type Op uint8

// The ops. A removal goes before what a file says.
const (
	Add    Op = 1
	Remove Op = 2
)

// Key names an entry of a list.
type Key = wire.EditKey

// Entry is the latest change of an entry of a list.
type Entry struct {
	Kind   Kind
	Op     Op
	Key    Key
	End    int64 // Unix seconds; 0: it holds for ever
	Reason string

	// Who changed it and when, in nanoseconds since 1970. [Machine.Edit] fills them in.
	Node wire.NodeID
	Time uint64
}

// Ended reports whether the entry has no effect any more.
func (e *Entry) Ended(now time.Time) bool { return e.End != 0 && now.Unix() >= e.End }

// beats reports whether of two changes of the same entry e is the one that counts.
func (e *Entry) beats(o *Entry) bool {
	c := cmp.Or(cmp.Compare(e.Time, o.Time), bytes.Compare(e.Node[:], o.Node[:]), cmp.Compare(e.Op, o.Op), cmp.Compare(e.End, o.End), cmp.Compare(e.Reason, o.Reason))
	return c > 0
}

// edit returns the entry as it is on the wire.
func (e *Entry) edit() wire.Edit {
	return wire.Edit{Kind: uint8(e.Kind), Op: uint8(e.Op), Node: e.Node, Time: e.Time, End: uint64(e.End), Key: e.Key, Reason: []byte(e.Reason)}
}

// Append appends the entry as it is on the wire, for a file.
func (e *Entry) Append(b []byte) []byte {
	x := e.edit()
	return x.Append(b)
}

// Parse reads the entry that b begins with, and returns what follows it.
func Parse(b []byte) (Entry, []byte, error) {
	x, rest, err := wire.ParseEdit(b)
	if err != nil {
		return Entry{}, nil, err
	}
	e := entryOf(&x)
	if !e.valid() {
		return Entry{}, nil, wire.ErrMalformed
	}
	return e, rest, nil
}

func entryOf(x *wire.Edit) Entry {
	return Entry{Kind: Kind(x.Kind), Op: Op(x.Op), Key: x.Key, End: int64(x.End), Reason: string(x.Reason), Node: x.Node, Time: x.Time}
}

// lastEnd is the latest end there may be, in Unix seconds: sums with it do not overflow, and all of it can be written as a date.
const lastEnd = 1 << 36

func (e *Entry) valid() bool {
	return (e.Op == Add || e.Op == Remove) && e.End >= 0 && e.End < lastEnd && len(e.Reason) <= wire.MaxEditReason
}

// sum returns what the entry adds to the sum of its part.
func (e *Entry) sum() uint64 {
	var room [128]byte
	digest := sha256.Sum256(e.Append(room[:0]))
	return binary.BigEndian.Uint64(digest[:])
}

// partOf returns which of the parts of its kind a key belongs to (FNV-1a).
func partOf(k *Key) uint8 {
	h := uint32(2166136261)
	for _, c := range k {
		h = (h ^ uint32(c)) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
