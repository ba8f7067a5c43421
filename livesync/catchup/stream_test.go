package catchup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"starling/wire"
)

var update = flag.Bool("update", false, "rewrite the files under testdata")

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func peer4(n int) wire.Peer {
	return wire.PeerFrom4([]byte{10, byte(n >> 16), byte(n >> 8), byte(n), 0x1a, 0xe1})
}

func peer6(n int) wire.Peer {
	return wire.Peer{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 7: byte(n >> 16), 14: byte(n >> 8), 15: byte(n), 16: 0x1a, 17: 0xe1}
}

// someSwarms returns so many torrents with up to five members each.
func someSwarms(rng *rand.Rand, torrents int) *wire.Excerpt {
	x := new(wire.Excerpt)
	for i := range torrents {
		s := wire.Swarm{InfoHash: wire.InfoHash{byte(i >> 16), byte(i >> 8), byte(i)}, Age: rng.Uint32N(1440), Downloaded: rng.Uint64N(1000), Members: rng.IntN(6)}
		for range s.Members {
			m := wire.Member{Peer: peer4(rng.IntN(1 << 24)), Seen: rng.Int32N(45 * 60_000), Told: rng.Uint32N(600_000)}
			if rng.IntN(3) == 0 {
				m.Peer, m.Flags = peer6(rng.IntN(1<<24)), wire.Seeding|wire.Complete
			}
			x.Members = append(x.Members, m)
		}
		x.Swarms = append(x.Swarms, s)
	}
	return x
}

// pieces returns a walk over an excerpt, a few swarms at a time.
func pieces(x *wire.Excerpt) Walk {
	rest := *x
	return func(_ time.Time, dst *wire.Excerpt) bool {
		n := min(len(rest.Swarms), 7)
		for _, s := range rest.Swarms[:n] {
			dst.Swarms = append(dst.Swarms, s)
			dst.Members = append(dst.Members, rest.Members[:s.Members]...)
			rest.Members = rest.Members[s.Members:]
		}
		rest.Swarms = rest.Swarms[n:]
		return len(rest.Swarms) > 0
	}
}

var someHeader = Header{ID: wire.NodeID{1, 2, 3, 4}, Epoch: 77, Within: 90 * time.Second, Torrents: 3, Peers: 9, Complete: true}

func someLeavers(n int) (l []wire.Leaver) {
	for i := range n {
		l = append(l, wire.Leaver{InfoHash: wire.InfoHash{byte(i)}, Peer: peer4(i), Age: uint32(i)})
	}
	return l
}

// tell returns a whole stream; a millisecond passes with each block.
func tell(h Header, leavers []wire.Leaver, x *wire.Excerpt) (stream []byte) {
	now := epoch
	t := NewTeller(now, h, Memory{Stops: leavers}, pieces(x))
	for b := t.Next(now); b != nil; b = t.Next(now) {
		stream = append(stream, b...)
		now = now.Add(time.Millisecond)
	}
	return stream
}

// told is what came of a stream.
type told struct {
	header  Header
	x       wire.Excerpt
	leavers []wire.Leaver
	blocks  int
}

var errTruncated = errors.New("truncated")

// hear decodes a stream, up to its end or an error.
func hear(stream []byte) (got told, err error) {
	d := NewDecoder()
	for d.Size() > 0 {
		if d.Size() > maxRaw+blockTail {
			panic("asks for more than a block")
		}
		if len(stream) < d.Size() {
			return got, errTruncated
		}
		part := stream[:d.Size()]
		stream = stream[len(part):]
		b, err := d.Next(part)
		if err != nil {
			return got, err
		}
		if b == nil {
			continue
		}
		got.blocks++
		got.header = *b.Header
		got.leavers = append(got.leavers, b.Leavers...)
		if b.Excerpt != nil {
			got.x.Swarms = append(got.x.Swarms, b.Excerpt.Swarms...)
			got.x.Members = append(got.x.Members, b.Excerpt.Members...)
		}
	}
	if len(stream) > 0 {
		return got, errors.New("bytes behind the end")
	}
	return got, nil
}

func TestStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 100, 5000} {
		x, leavers := someSwarms(rng, n), someLeavers(n/2)
		stream := tell(someHeader, leavers, x)
		got, err := hear(stream)
		if err != nil {
			t.Fatal(err)
		}
		want := someHeader
		want.Time = epoch
		got.header.Time = got.header.Time.UTC()
		if got.header != want || !reflect.DeepEqual(got.leavers, leavers) || !reflect.DeepEqual(got.x.Swarms, x.Swarms) || !reflect.DeepEqual(got.x.Members, x.Members) {
			t.Fatalf("%d torrents: header %+v, %d leavers, %d swarms, %d members", n, got.header, len(got.leavers), len(got.x.Swarms), len(got.x.Members))
		}
	}
}

// TestGolden holds the format as it is drawn: a stream that an older version wrote is read by every later one.
func TestGolden(t *testing.T) {
	const path = "testdata/stream.hex"
	rng := rand.New(rand.NewPCG(3, 3))
	stream := tell(someHeader, someLeavers(3), someSwarms(rng, 40))
	if *update {
		var text []byte
		for rest := stream; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			text = append(hex.AppendEncode(text, rest[:min(32, len(rest))]), '\n')
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(string(bytes.ReplaceAll(text, []byte("\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hear(stream)
	got, err2 := hear(golden)
	if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v: the golden stream says something else", err, err2)
	}
}

// TestTruncated cuts a stream at every byte: what came before is told, and that it is not whole.
func TestTruncated(t *testing.T) {
	stream := tell(someHeader, someLeavers(3), someSwarms(rand.New(rand.NewPCG(2, 2)), 50))
	for n := range stream {
		if _, err := hear(stream[:n]); err != errTruncated {
			t.Fatalf("%d of %d bytes: %v", n, len(stream), err)
		}
	}
}

// TestDamaged flips a bit in every byte: it is found out, and nothing is told that was not in the stream.
func TestDamaged(t *testing.T) {
	x := someSwarms(rand.New(rand.NewPCG(2, 2)), 300)
	stream := tell(someHeader, someLeavers(3), x)
	for n := range stream {
		bad := bytes.Clone(stream)
		bad[n] ^= 1 << (n % 8)
		got, err := hear(bad)
		if err == nil {
			t.Fatalf("byte %d of %d: not found out", n, len(stream))
		}
		if len(got.x.Members) > len(x.Members) || !reflect.DeepEqual(got.x.Members, append([]wire.Member(nil), x.Members[:len(got.x.Members)]...)) {
			t.Fatalf("byte %d of %d: told what is not there", n, len(stream))
		}
	}
}

// blocksOf cuts a stream into its blocks, the first with the magic.
func blocksOf(stream []byte) (blocks [][]byte) {
	for first := true; len(stream) > 0; first = false {
		n := blockLen(stream, first)
		blocks, stream = append(blocks, stream[:n]), stream[n:]
	}
	return blocks
}

func blockLen(b []byte, first bool) int {
	n := 0
	if first {
		n = len(magic)
	}
	return n + blockHead + int(uint32(b[n+1])<<24|uint32(b[n+2])<<16|uint32(b[n+3])<<8|uint32(b[n+4])) + blockTail
}

// TestBlocksMoved takes blocks out, doubles and exchanges them: each is right in itself, the stream is not.
func TestBlocksMoved(t *testing.T) {
	blocks := blocksOf(tell(someHeader, someLeavers(3), someSwarms(rand.New(rand.NewPCG(2, 2)), 5000)))
	if len(blocks) < 6 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for i := range len(blocks) - 1 {
		without := append(append([][]byte{}, blocks[:i]...), blocks[i+1:]...)
		twice := append(append([][]byte{}, blocks[:i+1]...), blocks[i:]...)
		swapped := append([][]byte{}, blocks...)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		for name, b := range map[string][][]byte{"without": without, "twice": twice, "swapped": swapped} {
			if _, err := hear(bytes.Join(b, nil)); err == nil || err == errTruncated && name != "without" {
				t.Errorf("%s block %d: %v", name, i, err)
			}
		}
	}
}

// forge returns a stream of one block behind the header, whose checksums are right whatever is in it.
func forge(kind Kind, stored []byte, raw uint32) []byte {
	e := NewEncoder()
	b := e.Begin(nil, &Header{Time: epoch})
	start := len(b)
	b = append(b, byte(kind), byte(len(stored)>>24), byte(len(stored)>>16), byte(len(stored)>>8), byte(len(stored)))
	b = append(b, byte(raw>>24), byte(raw>>16), byte(raw>>8), byte(raw), 0, 0, 0, 0)
	b = append(b, stored...)
	e.sum = sum(e.sum, b[start:])
	return e.seal(b)
}

// TestForged is given streams by someone who can make checksums: a bomb, wrong lengths, counts that are not true.
func TestForged(t *testing.T) {
	bomb := NewEncoder().pack.EncodeAll(make([]byte, 64<<20), nil)
	swarm := (&wire.Excerpt{Swarms: []wire.Swarm{{}}}).Append(nil)
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"a bomb":                {forge(KindSwarms, bomb[:min(len(bomb), maxRaw)], maxRaw), ErrBlock},
		"too long":              {forge(KindSwarms, nil, maxRaw+1), ErrBlock},
		"packed longer":         {forge(KindSwarms, swarm, uint32(len(swarm)-1)), ErrBlock},
		"not packed":            {forge(KindSwarms, swarm, uint32(len(swarm)+1)), ErrBlock},
		"half a swarm":          {forge(KindSwarms, swarm[:20], 20), ErrBlock},
		"half a node":           {forge(KindKnown, swarm[:knownSize+1], knownSize+1), ErrBlock},
		"half a leaver":         {forge(KindLeavers, swarm[:20], 20), ErrBlock},
		"unknown kind":          {forge(KindKnown+1, swarm, uint32(len(swarm))), ErrOrder},
		"no kind":               {forge(0, swarm, uint32(len(swarm))), ErrOrder},
		"a second header":       {forge(KindHeader, make([]byte, headerSize), headerSize), ErrOrder},
		"an end that counts up": {forge(KindEnd, append(make([]byte, endSize-1), 1), endSize), ErrCounts},
	} {
		if _, err := hear(c.stream); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// FuzzDecode decodes what it is given, as it is and with checksums made right; what is believed is what an encoder writes.
func FuzzDecode(f *testing.F) {
	f.Add(tell(someHeader, someLeavers(3), someSwarms(rand.New(rand.NewPCG(2, 2)), 50)))
	f.Add(forge(KindSwarms, nil, 0))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, stream := range [][]byte{b, mend(b)} {
			got, err := hear(stream)
			if err != nil {
				continue
			}
			again, err := hear(tell(got.header, got.leavers, &got.x))
			if err != nil || !reflect.DeepEqual(again.x.Members, got.x.Members) || !reflect.DeepEqual(again.leavers, got.leavers) {
				t.Fatalf("%v: not what was told", err)
			}
		}
	})
}

// mend makes the checksums of a stream right as far as its lengths go.
func mend(b []byte) []byte {
	b = bytes.Clone(b)
	s := uint32(0)
	for start, first := 0, true; start+blockHead+len(magic) < len(b); first = false {
		end := start + blockLen(b[start:], first)
		if end > len(b) || end <= start {
			break
		}
		s = sum(s, b[start:end-blockTail])
		b[end-4], b[end-3], b[end-2], b[end-1] = byte(s>>24), byte(s>>16), byte(s>>8), byte(s)
		s = sum(s, b[end-blockTail:end])
		start = end
	}
	return b
}
