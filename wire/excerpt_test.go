package wire

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// sampleExcerpt has a swarm of both families, one without members, and one of IPv6 only.
func sampleExcerpt() Excerpt {
	v4 := PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1})
	v6 := Peer{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: 7, 16: 0x1a, 17: 0xe1}
	return Excerpt{
		Swarms: []Swarm{
			{InfoHash: InfoHash{1}, Age: 3, Downloaded: 1 << 40, Members: 2},
			{InfoHash: InfoHash{2}, Age: 1440, Downloaded: 1},
			{InfoHash: InfoHash{3}, Members: 1},
		},
		Members: []Member{
			{Peer: v4, Flags: Seeding | Complete, Seen: 1000, Told: 2000},
			{Peer: v6, Flags: Partial, Seen: -7_200_000, Told: 1<<32 - 1},
			{Peer: v6},
		},
	}
}

// clone copies an excerpt: nil and empty slices are the same here.
func clone(x Excerpt) Excerpt {
	return Excerpt{Swarms: append([]Swarm{}, x.Swarms...), Members: append([]Member{}, x.Members...)}
}

func TestExcerptBytes(t *testing.T) {
	x := sampleExcerpt()
	b := x.Append([]byte("head"))
	if want := 4 + 3*SwarmSize + Member4Size + 2*Member6Size; len(b) != want {
		t.Fatalf("%d bytes, want %d", len(b), want)
	}
	var got Excerpt
	if err := got.Parse(b[4:]); err != nil || !reflect.DeepEqual(clone(got), clone(x)) {
		t.Fatalf("parsed %+v, %v", got, err)
	}
}

// TestExcerptTruncated cuts an excerpt at every byte: only what ends between two swarms is one.
func TestExcerptTruncated(t *testing.T) {
	x := sampleExcerpt()
	b := x.Append(nil)
	ends := []int{0, SwarmSize + Member4Size + Member6Size, 2*SwarmSize + Member4Size + Member6Size, len(b)}
	for n := range len(b) + 1 {
		var got Excerpt
		err := got.Parse(b[:n])
		if whole := slices.Contains(ends, n); (err == nil) != whole || err != nil && len(got.Swarms)+len(got.Members) != 0 {
			t.Errorf("%d of %d bytes: %v, %d swarms", n, len(b), err, len(got.Swarms))
		}
	}
}

func TestExcerptRefused(t *testing.T) {
	v4 := PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1})
	member := func(m Member) []byte {
		x := Excerpt{Swarms: []Swarm{{Members: 1}}, Members: []Member{m}}
		return x.Append(nil)
	}
	flagged := func(f byte) []byte {
		b := member(Member{Peer: v4})
		b[SwarmSize] = f
		return b
	}
	mapped := member(Member{Peer: Peer{0: 0x20, 17: 1}})
	copy(mapped[SwarmSize+9:], v4[:])
	many := member(Member{Peer: v4})
	copy(many[32:36], []byte{0xff, 0xff, 0xff, 0xff})
	for name, b := range map[string][]byte{
		"no port": member(Member{Peer: PeerFrom4([]byte{192, 0, 2, 1, 0, 0})}), "multicast": member(Member{Peer: PeerFrom4([]byte{224, 0, 0, 1, 0, 1})}),
		"stopped": flagged(byte(Stopped)), "unknown flag": flagged(0x02), "partial seeder": flagged(byte(Seeding | Partial)),
		"mapped": mapped, "more members than bytes": many,
	} {
		var x Excerpt
		if err := x.Parse(b); err != ErrExcerpt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeavers(t *testing.T) {
	v4 := PeerFrom4([]byte{192, 0, 2, 1, 0x1a, 0xe1})
	leavers := []Leaver{{InfoHash{1}, v4, 600_000}, {InfoHash{2}, Peer{0: 0x20, 17: 1}, 0}}
	b := AppendLeavers(nil, leavers)
	got, err := ParseLeavers(b, nil)
	if err != nil || !slices.Equal(got, leavers) || len(b) != 2*LeaverSize {
		t.Fatalf("%v, %v from %d bytes", got, err, len(b))
	}
	for n := range b {
		if _, err := ParseLeavers(b[:n], nil); (err == nil) != (n%LeaverSize == 0) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	b[24+17], b[24+16] = 0, 0
	if _, err := ParseLeavers(b, nil); err != ErrExcerpt {
		t.Errorf("port 0: %v", err)
	}
}

func FuzzExcerpt(f *testing.F) {
	x := sampleExcerpt()
	f.Add(x.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Excerpt
		if x.Parse(b) == nil && !bytes.Equal(x.Append(nil), b) {
			t.Fatal("append does not give back what was parsed")
		}
		if l, err := ParseLeavers(b, nil); err == nil && !bytes.Equal(AppendLeavers(nil, l), b) {
			t.Fatal("leavers: append does not give back what was parsed")
		}
	})
}
