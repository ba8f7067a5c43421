package wireshark

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/livesync/seal"
	"starling/wire"
)

var sender = wire.NodeID{0x7f, 0x3a, 0x91, 0xc2}

// packets returns a packet of each kind and the longest of those that can be long.
func packets() [][]byte {
	r4 := wire.Record{InfoHash: wire.InfoHash{0xaa, 19: 1}, Peer: wire.PeerFrom(netip.MustParseAddrPort("192.0.2.1:6881")), Flags: wire.Seeding | wire.Complete}
	r6 := wire.Record{InfoHash: wire.InfoHash{0xbb}, Peer: wire.PeerFrom(netip.MustParseAddrPort("[2001:db8::1]:6882")), Flags: wire.Stopped}
	mapped := wire.Record{InfoHash: wire.InfoHash{0xcc}, Peer: r4.Peer}
	tell := wire.Tell{InfoHash: wire.InfoHash{0xdd}, Age: 3, Downloaded: 1<<63 + 7}
	live4, live6 := wire.AppendLive4(nil, sender), wire.AppendLive6(nil, sender)
	for range wire.MaxKeyed4 {
		live4 = r4.Append4(live4)
	}
	for range wire.MaxKeyed6 {
		live6 = r6.Append6(live6)
	}
	key := seal.NewSealer(seal.Key{1}, sender, 1_770_000_000_123_456_789)
	all := [][]byte{
		r4.Append4(wire.AppendLive4(nil, sender)), mapped.Append6(r6.Append6(wire.AppendLive6(nil, sender))), tell.Append(wire.AppendTell(nil, sender)),
		wire.AppendLive4(nil, sender), wire.AppendTell(nil, sender), wire.AppendBeacon(nil, sender, 1<<40), wire.AppendInquire(nil, sender, wire.NodeID{1, 2, 3, 4}),
		key.Seal(live4), key.Seal(live6), key.Seal(tell.Append(wire.AppendTell(nil, sender))), slices.Clip(make([]byte, wire.MaxPacket+1)),
	}
	for _, b := range controls() {
		all = append(all, key.Seal(b))
	}
	return all
}

// controls returns a packet of each kind that only keyed nodes send, not sealed yet.
func controls() [][]byte {
	ranges := []wire.Range{{First: 1, Last: 1}, {First: 5, Last: 1<<32 - 1}}
	full := slices.Repeat(ranges, wire.MaxRanges)
	state := wire.State{
		Next: [wire.Spaces]uint32{7, 8, 1 << 31}, Sent: 1_770_000_001_000_000_042, Torrents: 3, Peers: 1 << 33, Inquired: wire.NodeID{9, 8, 7, 6}, Challenge: wire.Challenge{1, 7: 2},
		Capacity: 2000, CatchUpPort: 9696, Role: 1, Health: wire.CatchingUp, Round: 77, Group: 15, Sums: [wire.SketchGroup]int32{-1, 15: 1 << 30},
		Version: []byte("v1.2.3"), URL: []byte("http://tracker.example:6969/announce"), Echoes: []wire.Echo{{ID: wire.NodeID{1, 1, 1, 1}, Challenge: wire.Challenge{5}}, {ID: wire.NodeID{2}}},
	}
	edits := wire.Edits{
		Digests: []wire.EditDigest{{Kind: 1, Count: 9, Sum: 1 << 60}, {Kind: 200}},
		Entries: []wire.Edit{
			{Kind: 1, Op: 1, Node: sender, Time: 1_770_000_000_000_000_007, End: 1_780_000_000, Key: wire.EditKey{1, 19: 2}, Reason: []byte("court order")},
			{Kind: 3, Op: 2, Key: wire.EditKey{3}},
		},
	}
	return [][]byte{
		state.Append(nil, sender), new(wire.State).Append(nil, sender),
		(&wire.Nack{Target: wire.NodeID{1, 2, 3, 4}, Epoch: 1 << 62, Origin: true, Ranges: ranges}).Append(nil, sender),
		(&wire.Nack{Target: wire.NodeID{1, 2, 3, 4}, Ranges: full}).Append(nil, sender),
		(&wire.Gone{Epoch: 5, Age: 600_000, Ranges: ranges}).Append(nil, sender),
		(&wire.Bye{Next: 12}).Append(nil, sender),
		(&wire.Promise{Sender: wire.NodeID{4, 3, 2, 1}, Epoch: 6, Ranges: ranges}).Append(nil, sender),
		edits.Append(nil, sender), new(wire.Edits).Append(nil, sender),
		(&wire.Gone{Ranges: []wire.Range{{First: 2, Last: 1}}}).Append(nil, sender),
	}
}

// vectors returns the packets that real trackers sent.
func vectors(t *testing.T) [][]byte {
	text, err := os.ReadFile("../../wire/testdata/livesync.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Hex string }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, v := range list {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// damaged returns packets cut off behind each of their bytes, and with bytes changed.
func damaged(rng *rand.Rand, whole [][]byte) [][]byte {
	var all [][]byte
	for _, b := range whole {
		for n := 1; n < min(len(b), 240); n++ {
			all = append(all, b[:n])
		}
		for range 40 {
			c := slices.Clone(b)
			for range 1 + rng.IntN(3) {
				c[rng.IntN(min(len(c), 90))] = byte(rng.Uint32())
			}
			all = append(all, c)
		}
	}
	return all
}

// fields are what is asked of tshark; all but the first are compared.
var fields = []string{
	"frame.number", "livesync.id", "livesync.kind", "livesync.error", "livesync.info_hash", "livesync.record.ip4", "livesync.record.ip6", "livesync.record.port",
	"livesync.record.flags", "livesync.torrents", "livesync.target", "livesync.tell.minutes", "livesync.tell.downloaded", "livesync.epoch", "livesync.seq", "livesync.tag",
	"livesync.state.next_records", "livesync.state.next_tells", "livesync.state.next_control", "livesync.state.sent", "livesync.state.peers", "livesync.state.inquired",
	"livesync.state.challenge", "livesync.state.capacity", "livesync.state.catch_up_port", "livesync.state.role", "livesync.state.health", "livesync.state.round",
	"livesync.state.group", "livesync.state.sum", "livesync.state.version", "livesync.state.url", "livesync.state.echo.id", "livesync.state.echo.challenge",
	"livesync.about.id", "livesync.about.epoch", "livesync.nack.origin", "livesync.gone.age", "livesync.range.first", "livesync.range.last", "livesync.bye.next",
	"livesync.digest.kind", "livesync.digest.entries", "livesync.digest.sum", "livesync.edit.kind", "livesync.edit.op", "livesync.edit.id", "livesync.edit.time",
	"livesync.edit.end", "livesync.edit.key", "livesync.edit.reason", "_ws.expert.message",
}

// malformedFields are what is compared of a control packet that contradicts itself: the dissector shows more of it.
var malformedFields = []string{"livesync.id", "livesync.kind", "livesync.error", "livesync.epoch", "livesync.seq", "livesync.tag"}

// TestDissector: whatever comes, the dissector shows what package wire reads, and says of the rest why it is not read.
func TestDissector(t *testing.T) {
	if testing.Short() {
		t.Skip("the same without -short: tshark is no faster for it")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	all := append(vectors(t), packets()...)
	all = append(all, damaged(rand.New(rand.NewPCG(seed, 1)), packets())...)
	rows := tshark(t, writeCapture(t, all), fields)
	if len(rows) != len(all) {
		t.Fatalf("%d of %d packets are shown", len(rows), len(all))
	}
	kinds := make(map[string]int)
	for i, b := range all {
		want, got := read(b), shown(rows[i])
		kinds[strings.Join(append(want["livesync.kind"], want["livesync.error"]...), " ")]++
		compare := fields[1 : len(fields)-1]
		if slices.Equal(want["livesync.error"], []string{"malformed"}) {
			compare = malformedFields
		}
		for _, f := range append([]string{"address"}, compare...) {
			if !equal(f, got[f], want[f]) && !(f == "address" && len(compare) == len(malformedFields)) {
				t.Errorf("%x: %s is %q, want %q", b, f, got[f], want[f])
			}
		}
		if want["livesync.error"] != nil && len(got["_ws.expert.message"]) == 0 {
			t.Errorf("%x: no expert information says %q", b, want["livesync.error"])
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d packets: %v", len(all), kinds)
	if len(kinds) < 20 {
		t.Errorf("only these kinds came: %v", kinds)
	}
}

// shown returns a row with its values as [read] writes them.
func shown(row map[string][]string) map[string][]string {
	for _, f := range []string{"livesync.record.ip4", "livesync.record.ip6"} {
		for _, s := range row[f] {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				s = err.Error()
			} else {
				s = addr.Unmap().String()
			}
			row["address"] = append(row["address"], s)
		}
		delete(row, f)
	}
	for i, s := range row["livesync.record.flags"] {
		if n, err := strconv.ParseUint(s, 0, 8); err == nil {
			row["livesync.record.flags"][i] = strconv.Itoa(int(n & 0xe0))
		}
	}
	for i, s := range row["livesync.nack.origin"] {
		row["livesync.nack.origin"][i] = fmt.Sprint(s == "1" || s == "True")
	}
	for _, f := range []string{"livesync.state.sent", "livesync.edit.time"} {
		for i, s := range row[f] {
			row[f][i] = nanoseconds(s)
		}
	}
	return row
}

// nanoseconds returns a time that tshark shows, in the way of its version, as a number.
func nanoseconds(s string) string {
	for _, layout := range []string{"Jan _2, 2006 15:04:05.000000000 MST", time.RFC3339Nano} {
		if at, err := time.Parse(layout, s); err == nil {
			return strconv.FormatInt(at.UnixNano(), 10)
		}
	}
	return s
}

// equal compares the values of a field. How tshark writes bytes that are no text, and times that no clock shows today, is its own affair.
func equal(field string, got, want []string) bool {
	switch field {
	case "livesync.state.version", "livesync.state.url", "livesync.edit.reason":
		if strings.ContainsFunc(strings.Join(want, ""), func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`|\`, r) }) {
			return true
		}
	case "livesync.state.sent", "livesync.edit.time":
		return slices.EqualFunc(got, want, func(g, w string) bool {
			n, err := strconv.ParseUint(w, 10, 64)
			return g == w || err != nil || n > 1<<61
		})
	}
	return slices.Equal(got, want)
}
