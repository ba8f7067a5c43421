package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"starling/livesync/seal"
	"starling/wire"
)

// healthy returns a snapshot in which nothing is wrong.
func healthy() *Snapshot {
	yes := true
	return &Snapshot{
		Interface: Interface{Name: "eth0", Up: true, Multicast: true, Addr: netip.MustParsePrefix("10.0.0.1/24"), IGMP: "V3", Members: true},
		Group:     wire.Group,
		Listening: Listening{For: 5 * time.Second, OwnBack: true, Heard: []Heard{
			{Addr: netip.MustParseAddr("10.0.0.1"), ID: "0a0b0c0d", Group: wire.Group, Kind: Keyed, Packets: 5, Local: true},
			{Addr: netip.MustParseAddr("10.0.0.2"), ID: "01020304", Group: wire.Group, Kind: Keyed, Packets: 5, Timed: true, Clock: 3 * time.Millisecond},
		}},
		Queries:    Queries{From: netip.MustParseAddr("10.0.0.254")},
		ReceiveMax: 8 << 20, Granted: 8 << 20, FileLimit: 1 << 20, ClockKnown: true, ClockSynced: true,
		ConntrackCount: 5, ConntrackMax: 1 << 20, Memory: Memory{Total: 8 << 30, Available: 4 << 30},
		Ports: []Port{{"tcp", 6969, true, "starling (process 7)"}, {"udp", 6969, false, ""}},
		Rules: "table inet filter {\n chain input { type filter hook input priority 0; policy drop;\n udp dport 9696 accept\n}}",
		Node:  &Node{Admin: "127.0.0.1:6970", Interface: "eth0", State: "idle", Mode: "keyed", Nodes: 1, InSync: &yes, MemoryLimit: 1 << 30},
	}
}

func TestNothingIsWrong(t *testing.T) {
	all := Findings(healthy())
	for _, f := range all {
		if f.Verdict != OK || f.Do != "" {
			t.Errorf("%+v", f)
		}
	}
	if len(all) < 12 || Sick(all) {
		t.Errorf("%d findings", len(all))
	}
}

// Each thing that is wrong is found, with a word on what to do.
func TestFindings(t *testing.T) {
	no := false
	remote := func(s *Snapshot) *Heard { return &s.Listening.Heard[1] }
	another := func(s *Snapshot) *Heard {
		s.Listening.Heard = append(s.Listening.Heard, *remote(s))
		return &s.Listening.Heard[2]
	}
	tests := []struct {
		name    string
		wrong   func(*Snapshot)
		verdict Verdict
		check   string
		words   string
	}{
		{"no interface", func(s *Snapshot) { s.Interface.Trouble = "several" }, Bad, "interface", "several"},
		{"down", func(s *Snapshot) { s.Interface.Up = false }, Bad, "interface", "is down"},
		{"no address", func(s *Snapshot) { s.Interface.Addr = netip.Prefix{} }, Bad, "interface", "no IPv4"},
		{"no multicast", func(s *Snapshot) { s.Interface.Multicast = false }, Bad, "interface", "turned off"},
		{"loopback", func(s *Snapshot) { s.Interface.Loopback = true }, Warn, "interface", "loopback"},
		{"public", func(s *Snapshot) { s.Interface.Public = true }, Warn, "interface", "strangers"},
		{"not joined", func(s *Snapshot) { s.Listening.Trouble = "no such device" }, Bad, "group", "no such device"},
		{"not a member", func(s *Snapshot) { s.Interface.Members = false }, Warn, "group", "/proc/net/igmp"},
		{"not back", func(s *Snapshot) { s.Listening.OwnBack = false }, Bad, "group", "come back"},
		{"alone with a key", func(s *Snapshot) { s.Listening.Heard = s.Listening.Heard[:1] }, Bad, "heard", "each second"},
		{"alone", func(s *Snapshot) { s.Listening.Heard = nil }, Warn, "heard", "silent"},
		{"opentracker elsewhere", func(s *Snapshot) { another(s).Group = wire.OpentrackerGroup }, Warn, "heard", "another group"},
		{"stranger", func(s *Snapshot) { another(s).Kind = Stranger }, Warn, "heard", "no tracker can read"},
		{"of 2010", func(s *Snapshot) { remote(s).Kind = Old }, Warn, "heard", "2010"},
		{"clocks apart", func(s *Snapshot) { remote(s).Clock = -time.Minute }, Warn, "heard", "-1m0s apart"},
		{"snooping", func(s *Snapshot) {
			s.Queries, s.Interface.Bridge, s.Interface.Snooping = Queries{}, "br0", true
		}, Warn, "querier", "bridge br0 snoops"},
		{"no root", func(s *Snapshot) { s.Queries = Queries{Trouble: "takes root"} }, Warn, "querier", "takes root"},
		{"not long enough", func(s *Snapshot) { s.Queries = Queries{} }, Warn, "querier", "heard no query for 5s"},
		{"no querier", func(s *Snapshot) { s.Queries, s.Listening.For = Queries{}, 130*time.Second }, Warn, "querier", "heard no query for 2m10s"},
		{"IGMP version", func(s *Snapshot) { s.Interface.IGMP = "V1" }, Warn, "querier", "version 1"},
		{"clock free", func(s *Snapshot) { s.ClockSynced = false }, Warn, "clock", "nothing keeps it right"},
		{"clock unknown", func(s *Snapshot) { s.ClockKnown = false }, Warn, "clock", "not known"},
		{"clock not set", func(s *Snapshot) { s.ClockSynced, s.ClockKeeper = false, "chronyd" }, Warn, "clock", "chronyd runs, but"},
		{"small buffer", func(s *Snapshot) { s.Granted = 212992 }, Warn, "buffer", "208 KiB"},
		{"few files", func(s *Snapshot) { s.FileLimit = 1024 }, Warn, "files", "1024"},
		{"port taken", func(s *Snapshot) { s.Ports[0].Owner, s.Node = "nginx (process 3)", nil }, Warn, "ports", "tcp 6969 by nginx"},
		{"port taken by whom", func(s *Snapshot) { s.Ports[0].Owner, s.Node = "", nil }, Warn, "ports", "only root"},
		{"firewall", func(s *Snapshot) { s.Rules = ":INPUT DROP [0:0]" }, Warn, "firewall", "none names"},
		{"table full", func(s *Snapshot) { s.ConntrackCount = s.ConntrackMax }, Bad, "conntrack", "dropped"},
		{"table small", func(s *Snapshot) { s.ConntrackMax = 4096 }, Warn, "conntrack", "4096"},
		{"limit too large", func(s *Snapshot) { s.Node.MemoryLimit = 16 << 30 }, Bad, "memory", "16384MiB"},
		{"control group", func(s *Snapshot) { s.Memory.Limit = 1 << 29 }, Bad, "memory", "512MiB"},
		{"no limit", func(s *Snapshot) { s.Node.MemoryLimit = 0 }, Warn, "memory", "no --memory-limit"},
		{"live sync off", func(s *Snapshot) { s.Node.Interface = "" }, Bad, "node", "alone"},
		{"trouble", func(s *Snapshot) { s.Node.Trouble = "eth0 is gone" }, Bad, "node", "eth0 is gone"},
		{"not in sync", func(s *Snapshot) { s.Node.InSync, s.Node.InSyncWhy = &no, "5300 peers" }, Bad, "sync", "5300 peers"},
		{"catching up", func(s *Snapshot) { s.Node.InSync, s.Node.CatchingUp = &no, true }, Warn, "sync", "catching up"},
		{"wrong key", func(s *Snapshot) { s.Node.Auth = 3 }, Warn, "key", "does not fit"},
		{"no key", func(s *Snapshot) { s.Node.PlainDrop = 3 }, Warn, "key", "had no tag"},
		{"kernel drops", func(s *Snapshot) { s.Node.KernelDrop = 3 }, Warn, "loss", "3 packets"},
	}
	for _, tt := range tests {
		s := healthy()
		tt.wrong(s)
		all := Findings(s)
		i := slices.IndexFunc(all, func(f Finding) bool {
			return f.Verdict == tt.verdict && f.Check == tt.check && strings.Contains(f.Found, tt.words)
		})
		if i < 0 {
			t.Errorf("%s: not found in\n%s", tt.name, Text(all))
			continue
		}
		if all[i].Do == "" || Sick(all) != (tt.verdict == Bad) {
			t.Errorf("%s: what to do is %q, sick %v", tt.name, all[i].Do, Sick(all))
		}
	}
}

// A host of which nothing could be seen is judged without a panic.
func TestNothingSeen(t *testing.T) {
	if all := Findings(&Snapshot{Group: wire.Group}); !Sick(all) {
		t.Errorf("%s", Text(all))
	}
}

// Who keeps the clock right is named, and asked in its own way.
func TestClockKeeper(t *testing.T) {
	proc := fstest.MapFS{
		"self/comm": {Data: []byte("ntpd\n")}, "1/comm": {Data: []byte("init\n")}, "12/comm": {Data: []byte("systemd-timesyn\n")}, "13/stat": {},
	}
	s := &Snapshot{ClockKnown: true, ClockSynced: true, ClockKeeper: lookKeeper(proc)}
	if f := clock(s)[0]; f.Verdict != OK || f.Found != "synchronised by systemd-timesyn" {
		t.Errorf("%+v", f)
	}
	s.ClockSynced = false
	if f := clock(s)[0]; f.Verdict != Warn || f.Do != "timedatectl timesync-status" {
		t.Errorf("%+v", f)
	}
	delete(proc, "12/comm")
	if got := lookKeeper(proc); got != "" {
		t.Errorf("%q", got)
	}
}

func TestText(t *testing.T) {
	got := Text([]Finding{{"group", OK, "joined", ""}, {"clock", Warn, "free", "chrony"}})
	want := "ok    group      joined\nwarn  clock      free\n                 -> chrony\n\n1 ok, 1 to look at, 0 bad\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseMembership(t *testing.T) {
	const table = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"3\teth0      :     2      V2\n\t\t\t\t052A00E0     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
	for name, want := range map[string]struct {
		member  bool
		version string
	}{"eth0": {true, "V2"}, "lo": {false, "V3"}, "eth1": {}} {
		if member, version := parseMembership(table, name, wire.Group.Addr()); member != want.member || version != want.version {
			t.Errorf("%s: %v, %q", name, member, version)
		}
	}
}

func TestHolder(t *testing.T) {
	const table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:1B39 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 100 1\n" +
		"   1: 00000000:1B39 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n"
	if got := holder(table, "tcp", 6969); got != "4242" {
		t.Errorf("%q", got)
	}
	if got := holder(table, "udp", 6969); got != "" {
		t.Errorf("%q", got)
	}
}

// What is heard is told apart: keyed nodes, others, strangers, our own packet and that of another doctor.
func TestEars(t *testing.T) {
	now := time.Unix(1000, 0)
	e := &ears{all: make(map[hearKey]*Heard), probe: probe(), local: map[netip.Addr]bool{netip.MustParseAddr("10.0.0.1"): true}}
	at := func(n byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 4000) }
	id := wire.NodeID{1, 2, 3, 4}
	state := wire.State{Sent: now.Add(time.Second).UnixNano()}
	e.take(now, at(1), wire.Group, e.probe)
	e.take(now, at(9), wire.Group, probe())
	e.take(now, at(2), wire.Group, wire.AppendBeacon(nil, id, 7))
	e.take(now, at(3), wire.Group, wire.AppendLive4(nil, id))
	e.take(now, at(4), wire.Group, []byte("hello, world"))
	e.take(now, at(1), wire.Group, seal.NewSealer(seal.Key{1}, id, 7).Seal(state.Append(nil, id)))
	if !e.back || len(e.all) != 4 {
		t.Fatalf("back %v, heard %v", e.back, e.all)
	}
	for n, want := range map[byte]Kind{1: Keyed, 2: Plain, 3: Old, 4: Stranger} {
		h := e.all[hearKey{at(n).Addr(), wire.Group, at(n).Port()}]
		if h.Kind != want || h.Local != (n == 1) || h.Timed != (n == 1) {
			t.Errorf("%d: %+v", n, h)
		}
	}
	if h := e.all[hearKey{at(1).Addr(), wire.Group, 4000}]; h.Clock != time.Second {
		t.Errorf("clock %s", h.Clock)
	}
}
