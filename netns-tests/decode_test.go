package netnstests

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// This decoder is the tests' own reading of the protocol's text, made to
// disagree with the program if the program is wrong: it is strict where a
// receiver is lenient, takes nothing from package wire and is written the
// other way about, as a table of layouts.

// A syncPacket is one livesync datagram, taken apart.
type syncPacket struct {
	id       string // 8 hex digits
	kind     string // live4, live6, beacon, inquire, tell, state, nack, gone, bye, promise
	records  []syncRecord
	torrents uint64 // of a beacon
	target   string // of an inquire
	tells    []syncTell
	keyed    bool   // it ends with a trailer
	epoch    uint64 // of the trailer
	seq      uint32 // likewise
}

// A syncRecord is one peer as live4 and live6 packets carry it.
type syncRecord struct {
	hash  string // 40 hex digits
	peer  netip.AddrPort
	flags byte
}

// A syncTell is what one node knows of one torrent.
type syncTell struct {
	hash       string
	minutes    uint32
	downloaded uint64
}

const (
	seeding  = 0x80
	complete = 0x40
	stopped  = 0x20
)

// trailerSize is what a node with a cluster key puts behind a packet: epoch, sequence, tag.
const trailerSize = 8 + 4 + 12

// controls are the packets that only nodes with a key send, from number 0x53540001 on. What is in
// them is not looked at, but for how long the parts of changes of lists are.
var controls = []string{"state", "nack", "gone", "bye", "promise", "edits"}

// layouts of the packets that are lists, by type number. A packet of type 1
// that is 16 bytes long is a beacon and none of these.
var layouts = map[uint32]struct {
	kind      string
	size, max int
}{
	0: {"live4", 20 + 4 + 2 + 2, 52},
	1: {"live6", 20 + 16 + 2 + 2, 36},
	3: {"tell", 20 + 4 + 8, 45},
}

// decodeSync takes a datagram apart, or says what in it no tracker may send.
func decodeSync(b []byte) (p syncPacket, err error) {
	if len(b) < 8 {
		return p, fmt.Errorf("%d bytes are no header", len(b))
	}
	p.id = hex.EncodeToString(b[:4])
	number, body := binary.BigEndian.Uint32(b[4:]), b[8:]
	switch {
	case p.id == "00000000":
		return p, fmt.Errorf("the id is zero")
	case number == 1 && len(b) == 16:
		p.kind, p.torrents = "beacon", binary.BigEndian.Uint64(body)
		return p, nil
	case number == 2:
		if len(b) != 12 {
			return p, fmt.Errorf("an inquire of %d bytes", len(b))
		}
		p.kind, p.target = "inquire", hex.EncodeToString(body)
		return p, nil
	}
	if i := number - 0x53540001; i < uint32(len(controls)) {
		p.kind = controls[i]
		if len(body) < trailerSize {
			return p, fmt.Errorf("a %s of %d bytes has no trailer", p.kind, len(b))
		}
		if body = p.cutTrailer(body); p.kind == "edits" && !wholeEdits(body) {
			return p, fmt.Errorf("edits of %d bytes are not what their counts say", len(b))
		}
		return p, nil
	}
	layout, ok := layouts[number]
	if !ok {
		return p, fmt.Errorf("unknown type %d", number)
	}
	p.kind = layout.kind
	if len(body)%layout.size == trailerSize {
		body = p.cutTrailer(body)
		layout.max = map[string]int{"live4": 51, "live6": 36, "tell": 45}[p.kind]
	}
	if n := len(body) / layout.size; n == 0 || n > layout.max || len(body)%layout.size != 0 {
		return p, fmt.Errorf("%s of %d bytes: %d whole records of %d, at most %d allowed, %d bytes over",
			p.kind, len(b), n, layout.size, layout.max, len(body)%layout.size)
	}
	for ; len(body) > 0; body = body[layout.size:] {
		if err := p.add(body[:layout.size]); err != nil {
			return p, fmt.Errorf("%s: %w", p.kind, err)
		}
	}
	return p, nil
}

// wholeEdits reports whether a packet of changes of lists has as many digests and changes as it says, and nothing else.
func wholeEdits(body []byte) bool {
	const digest, change, reason = 13, 43, 2 // bytes of each, and where the length of a reason is
	if len(body) < 2 || len(body) < 2+digest*int(body[0]) {
		return false
	}
	changes, rest := int(body[1]), body[2+digest*int(body[0]):]
	for ; changes > 0; changes-- {
		if len(rest) < change || len(rest) < change+int(rest[reason]) {
			return false
		}
		rest = rest[change+int(rest[reason]):]
	}
	return len(rest) == 0
}

// cutTrailer reads the trailer at the end of a body and returns what is before it.
func (p *syncPacket) cutTrailer(body []byte) []byte {
	end := len(body) - trailerSize
	p.keyed = true
	p.epoch, p.seq = binary.BigEndian.Uint64(body[end:]), binary.BigEndian.Uint32(body[end+8:])
	return body[:end]
}

// add appends what one record of a list says.
func (p *syncPacket) add(b []byte) error {
	hash, rest := hex.EncodeToString(b[:20]), b[20:]
	if p.kind == "tell" {
		p.tells = append(p.tells, syncTell{hash, binary.BigEndian.Uint32(rest), binary.BigEndian.Uint64(rest[4:])})
		return nil
	}
	end := len(rest) - 4
	addr, _ := netip.AddrFromSlice(rest[:end])
	r := syncRecord{hash, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest[end:])), rest[end+2]}
	switch {
	case rest[end+3] != 0:
		return fmt.Errorf("second byte of flags is %#x", rest[end+3])
	case r.flags&^(seeding|complete|stopped) != 0:
		return fmt.Errorf("unknown flags %#x", r.flags)
	case r.flags&complete != 0 && r.flags != seeding|complete:
		return fmt.Errorf("flags %#x: a completion is SEEDING and COMPLETE and nothing else", r.flags)
	case r.peer.Port() == 0 || addr.IsUnspecified() || addr.IsMulticast():
		return fmt.Errorf("peer %s", r.peer)
	}
	p.records = append(p.records, r)
	return nil
}

// TestDecodeSync shows the decoder packets of another implementation, as they
// were seen on the wire.
func TestDecodeSync(t *testing.T) {
	const hash = "f72ae20af83cd442486332220b42c7d8c5a91043"
	for packet, want := range map[string]syncPacket{
		"a1892a37" + "00000000" + hash + "0a4de47d" + "4d05" + "0000": {id: "a1892a37", kind: "live4",
			records: []syncRecord{{hash, netip.MustParseAddrPort("10.77.228.125:19717"), 0}}},
		"a1892a37" + "00000001" + hash + "fd770000000000000000000091433ea9" + "433f" + "c000": {id: "a1892a37", kind: "live6",
			records: []syncRecord{{hash, netip.MustParseAddrPort("[fd77::9143:3ea9]:17215"), seeding | complete}}},
		"a6bb2856" + "00000001" + "0000000000000039": {id: "a6bb2856", kind: "beacon", torrents: 57},
		"6ea8812b" + "00000002" + "a6bb2856":         {id: "6ea8812b", kind: "inquire", target: "a6bb2856"},
		"3a21cd73" + "00000003" + hash + "00000002" + "0000000000000007": {id: "3a21cd73", kind: "tell",
			tells: []syncTell{{hash, 2, 7}}},
	} {
		if got, err := decodeSync(unhex(t, packet)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", packet, got, err, want)
		}
	}
}

// TestDecodeSyncIsStrict: each of these has one fault.
func TestDecodeSyncIsStrict(t *testing.T) {
	const live = "a1892a37" + "00000000"
	const peer = "f72ae20af83cd442486332220b42c7d8c5a91043" + "0a4de47d" + "4d05"
	for name, packet := range map[string]string{
		"short header":          "a1892a37" + "0000",
		"zero id":               "00000000" + "00000000" + peer + "0000",
		"empty list":            live,
		"remainder":             live + peer + "0000" + "00",
		"53 records":            live + strings.Repeat(peer+"0000", 53),
		"unknown type":          "a1892a37" + "00000004" + peer,
		"long inquire":          "a1892a37" + "00000002" + "a6bb2856" + "00",
		"stopped and complete":  live + peer + "6000",
		"complete, not seeding": live + peer + "4000",
		"unknown flag":          live + peer + "1000",
		"second byte of flags":  live + peer + "0001",
		"port 0":                live + peer[:48] + "0000" + "0000",
		"peer is everyone":      live + peer[:40] + "00000000" + "4d05" + "0000",
		"peer is a group":       live + peer[:40] + "e0002a05" + "4d05" + "0000",
	} {
		if p, err := decodeSync(unhex(t, packet)); err == nil {
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
}

// unhex reads the hexadecimal digits of a test's packet.
func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
