package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/livesync/livesynctest"
	"starling/livesync/seal"
	"starling/wire"
)

var (
	dumpTime   = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	dumpSender = netip.MustParseAddrPort("10.0.0.2:40123")
	dumpID     = wire.NodeID{0x7f, 0x3a, 0x91, 0xc2}
)

// dumpPackets returns a packet of every kind and what is printed of it behind time and sender.
func dumpPackets() map[string][]byte {
	hash := wire.InfoHash{0xaa, 19: 0x01}
	r4 := wire.Record{InfoHash: hash, Peer: wire.PeerFrom(netip.MustParseAddrPort("192.0.2.1:6881")), Flags: wire.Seeding}
	r6 := wire.Record{InfoHash: hash, Peer: wire.PeerFrom(netip.MustParseAddrPort("[2001:db8::1]:6881")), Flags: wire.Stopped}
	tell := wire.Tell{InfoHash: hash, Age: 3, Downloaded: 7}
	h := "aa00000000000000000000000000000000000001"
	return map[string][]byte{
		"7f3a91c2  live     " + h + " 192.0.2.1:6881 seeder; " + h + " 192.0.2.1:6881 seeder": r4.Append4(r4.Append4(wire.AppendLive4(nil, dumpID))),
		"7f3a91c2  live6    " + h + " [2001:db8::1]:6881 stopped":                             r6.Append6(wire.AppendLive6(nil, dumpID)),
		"7f3a91c2  beacon   57 torrents":                                                      wire.AppendBeacon(nil, dumpID, 57),
		"7f3a91c2  inquire  asks 01020304":                                                    wire.AppendInquire(nil, dumpID, wire.NodeID{1, 2, 3, 4}),
		"7f3a91c2  tell     " + h + " downloaded 7, announced 3 min ago":                      tell.Append(wire.AppendTell(nil, dumpID)),
		"7f3a91c2  state    3 torrents, 9 peers, catching up, next 7, \"http://a.example/announce\", asks 01020304, echoes: 0a0b0c0d  [0 of epoch 7]": sealedState(),
		"7f3a91c2  nack     of 01020304: 1-1 5-9  [0 of epoch 7]":                                                                                     dumpSealed((&wire.Nack{Target: wire.NodeID{1, 2, 3, 4}, Epoch: 3, Ranges: []wire.Range{{First: 1, Last: 1}, {First: 5, Last: 9}}}).Append(nil, dumpID)),
		"7f3a91c2  gone     of 7f3a91c2: 1-2  [0 of epoch 7]":                                                                                         dumpSealed((&wire.Gone{Epoch: 3, Ranges: []wire.Range{{First: 1, Last: 2}}}).Append(nil, dumpID)),
		"7f3a91c2  bye      ends  [0 of epoch 7]":                                                                                                     dumpSealed((&wire.Bye{}).Append(nil, dumpID)),
		"7f3a91c2  promise  of 01020304: 1-2  [0 of epoch 7]":                                                                                         dumpSealed((&wire.Promise{Sender: wire.NodeID{1, 2, 3, 4}, Epoch: 3, Ranges: []wire.Range{{First: 1, Last: 2}}}).Append(nil, dumpID)),
		"7f3a91c2  edits    has 2 of kind 1; kind 1 op 1 aa00000000000000000000000000000000000001 \"spam\"  [0 of epoch 7]": dumpSealed((&wire.Edits{
			Digests: []wire.EditDigest{{Kind: 1, Count: 2}, {Kind: 3}}, Entries: []wire.Edit{{Kind: 1, Op: 1, Key: wire.EditKey(hash), Reason: []byte("spam")}},
		}).Append(nil, dumpID)),
		"7f3a91c2  nack     livesync: malformed control packet (56 bytes)  [0 of epoch 7]": dumpSealed((&wire.Nack{Ranges: []wire.Range{{First: 2, Last: 1}}}).Append(nil, dumpID)),
		"7f3a91c2  live6    " + h + " [2001:db8::1]:6881 stopped  [0 of epoch 7]":          dumpSealed(r6.Append6(wire.AppendLive6(nil, dumpID))),
		"7f3a91c2  tell":  wire.AppendTell(nil, dumpID),
		"7f3a91c2  empty": wire.AppendLive4(nil, dumpID),
		"7f3a91c2  ?        livesync: packet too short for its type (9 bytes)": append(wire.AppendLive4(nil, dumpID), 0),
		"7f3a91c2  ?        livesync: unknown packet type (8 bytes)":           {0x7f, 0x3a, 0x91, 0xc2, 0, 0, 0, 9},
		"-         ?        livesync: packet too short for its type (3 bytes)": {1, 2, 3},
	}
}

// dumpKey is what packets that are printed are sealed with.
var dumpKey = seal.Key{1}

// dumpSealed seals a packet.
func dumpSealed(b []byte) []byte { return seal.NewSealer(dumpKey, dumpID, 7).Seal(b) }

func sealedState() []byte {
	st := wire.State{
		Next: [wire.Spaces]uint32{7, 8, 9}, Torrents: 3, Peers: 9, Inquired: wire.NodeID{1, 2, 3, 4}, Health: wire.CatchingUp,
		URL: []byte("http://a.example/announce"), Echoes: []wire.Echo{{ID: wire.NodeID{10, 11, 12, 13}}},
	}
	return dumpSealed(st.Append(nil, dumpID))
}

// With a key each packet that has a tag is followed by whether it is right.
func TestDumpTags(t *testing.T) {
	bye := (&wire.Bye{}).Append(nil, dumpID)
	right := dumpSealed(bye)
	for key, want := range map[seal.Key]string{dumpKey: "right", {2}: "wrong"} {
		f := dumpFormat{tags: seal.NewChecker(seal.Keys{key})}
		if got := f.line(dumpTime, dumpSender, right); !strings.HasSuffix(got, "ends  [0 of epoch 7, tag "+want+"]") {
			t.Errorf("%q, want it %s", got, want)
		}
		f.json = true
		if got := f.line(dumpTime, dumpSender, right); !strings.Contains(got, `"epoch":"7","sequence":0,"tag":"`+want+`"`) {
			t.Errorf("%q, want it %s", got, want)
		}
		if got := f.line(dumpTime, dumpSender, wire.AppendBeacon(nil, dumpID, 1)); strings.Contains(got, "tag") {
			t.Errorf("%q speaks of a tag", got)
		}
	}
}

func TestDumpLine(t *testing.T) {
	for want, packet := range dumpPackets() {
		want = "03:04:05.678  10.0.0.2:40123         " + want
		if got := (dumpFormat{}).line(dumpTime, dumpSender, packet); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		hexed := dumpFormat{hex: true}.line(dumpTime, dumpSender, packet)
		if !strings.HasSuffix(hexed, "  "+hex.EncodeToString(packet)) {
			t.Errorf("%q does not end with its bytes", hexed)
		}
	}
}

func TestDumpJSON(t *testing.T) {
	h := "aa00000000000000000000000000000000000001"
	head := `{"time":"2026-01-02T03:04:05.678Z","from":"10.0.0.2:40123",`
	packets := dumpPackets()
	for key, want := range map[string]string{
		"7f3a91c2  beacon   57 torrents":                                       head + `"id":"7f3a91c2","kind":"beacon","bytes":16,"torrents":57}`,
		"7f3a91c2  inquire  asks 01020304":                                     head + `"id":"7f3a91c2","kind":"inquire","bytes":12,"target":"01020304"}`,
		"7f3a91c2  live6    " + h + " [2001:db8::1]:6881 stopped":              head + `"id":"7f3a91c2","kind":"live6","bytes":48,"records":[{"info_hash":"` + h + `","peer":"[2001:db8::1]:6881","role":"stopped"}]}`,
		"7f3a91c2  tell     " + h + " downloaded 7, announced 3 min ago":       head + `"id":"7f3a91c2","kind":"tell","bytes":40,"tells":[{"info_hash":"` + h + `","age_min":3,"downloaded":7}]}`,
		"-         ?        livesync: packet too short for its type (3 bytes)": head + `"error":"livesync: packet too short for its type","bytes":3}`,
	} {
		if got := (dumpFormat{json: true}).line(dumpTime, dumpSender, packets[key]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Whatever arrives is one line, and with --json a JSON object.
func FuzzDumpLine(f *testing.F) {
	for _, packet := range dumpPackets() {
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		text := dumpFormat{hex: true}.line(dumpTime, dumpSender, packet)
		line := dumpFormat{json: true, hex: true}.line(dumpTime, dumpSender, packet)
		var d dumpedPacket
		if err := json.Unmarshal([]byte(line), &d); err != nil || strings.Contains(text+line, "\n") {
			t.Fatalf("%x: %q, %q, %v", packet, text, line, err)
		}
	})
}

func TestDumpPrintsWhatIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		segment := livesynctest.NewSegment(1)
		host := segment.Host(netip.MustParseAddr("10.0.0.9"))
		conn, err := host.Listen(wire.Group, "eth0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var out bytes.Buffer
		ended := make(chan error)
		go func() { ended <- dump(ctx, conn, dumpFormat{}, &out) }()
		segment.Inject(dumpSender, wire.Group.Addr(), wire.AppendBeacon(nil, dumpID, 57))
		segment.Inject(dumpSender, wire.Group.Addr(), []byte("garbage"))
		synctest.Wait()
		cancel(errors.New("interrupt signal received")) // as signal.NotifyContext does
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), "beacon   57 torrents\n") || !strings.Contains(out.String(), "(7 bytes)\n") {
			t.Errorf("printed %q", out.String())
		}
	})
}

func TestDumpEndsWithItsInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := livesynctest.NewSegment(1).Host(netip.MustParseAddr("10.0.0.9"))
		conn, err := host.Listen(wire.Group, "eth0")
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("the interface is gone")
		ended := make(chan error)
		go func() { ended <- dump(t.Context(), conn, dumpFormat{}, new(bytes.Buffer)) }()
		host.Down(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("%v, want %v", err, gone)
		}
	})
}
