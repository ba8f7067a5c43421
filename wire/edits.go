package wire

import "encoding/binary"

// Sizes in bytes of what EDITS are made of.
const (
	EditKeySize    = 20
	EditDigestSize = 13
	MaxEditReason  = 64

	// MaxEdits is how many bytes the digests and entries of one packet may have together.
	MaxEdits = MaxUnfragmented - TrailerSize - editsSize

	editsSize = HeaderSize + 2
	editSize  = 43
)

// EditKey names an entry of a shared list: an info hash, a network, the digest of a key.
type EditKey [EditKeySize]byte

// Edit is the latest change of one entry of a list that the nodes of a cluster share. Of two changes of an entry the later one counts.
type Edit struct {
	Kind   uint8 // of list
	Op     uint8 // what happened: the list says what that means
	Node   NodeID
	Time   uint64 // when, in nanoseconds since 1970, but never before what its node had heard of
	End    uint64 // until when it holds, in seconds since 1970; 0: for ever
	Key    EditKey
	Reason []byte // for people, at most [MaxEditReason] bytes
}

// Size returns how many bytes the edit takes.
func (e *Edit) Size() int { return editSize + min(len(e.Reason), MaxEditReason) }

// Append appends the edit. A reason that is too long is cut off.
func (e *Edit) Append(b []byte) []byte {
	reason := e.Reason[:min(len(e.Reason), MaxEditReason)]
	b = append(append(b, e.Kind, e.Op, byte(len(reason))), e.Node[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Time)
	b = binary.BigEndian.AppendUint64(b, e.End)
	return append(append(b, e.Key[:]...), reason...)
}

// ParseEdit reads the edit that b begins with, and returns what follows it. The reason points into b.
func ParseEdit(b []byte) (e Edit, rest []byte, err error) {
	if len(b) < editSize || b[2] > MaxEditReason || len(b) < editSize+int(b[2]) {
		return Edit{}, nil, ErrMalformed
	}
	end := editSize + int(b[2])
	return Edit{
		Kind: b[0], Op: b[1], Node: NodeID(b[3:]), Time: binary.BigEndian.Uint64(b[7:]), End: binary.BigEndian.Uint64(b[15:]),
		Key: EditKey(b[23:]), Reason: b[editSize:end:end],
	}, b[end:], nil
}

// EditDigest sums up the entries of one kind that a node has: two that have the same have the same digest.
type EditDigest struct {
	Kind  uint8
	Count uint32
	Sum   uint64
}

// Edits is what a node tells of the lists that all share: what changed, and what it has.
type Edits struct {
	Digests []EditDigest
	Entries []Edit
}

// Append appends a whole EDITS of node id, without the trailer. Digests and entries have [MaxEdits] bytes together at most, and what is beyond that is
// left out.
func (m *Edits) Append(b []byte, id NodeID) []byte {
	b = appendHeader(b, id, typeEdits)
	counts := len(b)
	b = append(b, 0, 0)
	room := MaxEdits
	for i := range m.Digests {
		if room -= EditDigestSize; room < 0 || i == 255 {
			return b
		}
		d := &m.Digests[i]
		b = binary.BigEndian.AppendUint32(append(b, d.Kind), d.Count)
		b = binary.BigEndian.AppendUint64(b, d.Sum)
		b[counts]++
	}
	for i := range m.Entries {
		if room -= m.Entries[i].Size(); room < 0 {
			return b
		}
		b = m.Entries[i].Append(b)
		b[counts+1]++
	}
	return b
}

// Edits returns what a packet of kind [KindEdits] says. Its digests and entries are put into the slices of buf, which grow only when they are too small;
// reasons point into the packet.
func (p *Packet) Edits(buf Edits) (Edits, error) {
	b := p.body
	if p.Kind != KindEdits || len(b) < 2 {
		return Edits{}, ErrMalformed
	}
	digests, entries := int(b[0]), int(b[1])
	b = b[2:]
	if len(b) < digests*EditDigestSize {
		return Edits{}, ErrMalformed
	}
	m := Edits{buf.Digests[:0], buf.Entries[:0]}
	for range digests {
		m.Digests = append(m.Digests, EditDigest{b[0], binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:])})
		b = b[EditDigestSize:]
	}
	for range entries {
		e, rest, err := ParseEdit(b)
		if err != nil {
			return Edits{}, err
		}
		m.Entries = append(m.Entries, e)
		b = rest
	}
	if len(p.body)-2-len(b) > MaxEdits {
		return Edits{}, ErrMalformed
	}
	return m, nil
}
