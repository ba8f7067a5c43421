package livesync

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(s ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func TestChooseInterface(t *testing.T) {
	var (
		lo     = hostInterface{name: "lo", up: true, loopback: true, ipv4: prefixes("127.0.0.1/8")}
		lan    = hostInterface{name: "lan", up: true, ipv4: prefixes("192.168.1.5/24")}
		vpn    = hostInterface{name: "vpn", up: true, ipv4: prefixes("10.8.0.1/16")}
		public = hostInterface{name: "wan", up: true, ipv4: prefixes("192.0.2.9/24")}
		shared = hostInterface{name: "shared", up: true, ipv4: prefixes("10.0.0.9/24", "192.0.2.9/24")}
		local  = hostInterface{name: "local", up: true, ipv4: prefixes("169.254.7.7/16")}
		mixed  = hostInterface{name: "mixed", up: true, ipv4: prefixes("169.254.7.7/16", "172.16.0.1/12")}
		down   = hostInterface{name: "down", ipv4: prefixes("10.9.0.1/24")}
		bare   = hostInterface{name: "bare", up: true}
	)
	tests := []struct {
		name     string
		hosts    []hostInterface
		defaults []string
		want     string
		warning  string // is in the warning; empty: there is none
	}{
		{"default route", []hostInterface{lo, vpn, lan}, []string{"lan"}, "lan", ""},
		{"preferred default route", []hostInterface{vpn, lan}, []string{"vpn", "lan"}, "vpn", ""},
		{"the only one", []hostInterface{lo, lan, down, bare}, nil, "lan", ""},
		{"default route elsewhere", []hostInterface{lo, lan, public}, []string{"wan"}, "lan", ""},
		{"several", []hostInterface{lo, lan, vpn}, nil, "", "lan, vpn"},
		{"several, default route elsewhere", []hostInterface{lan, vpn, public}, []string{"wan"}, "", "lan, vpn"},
		{"public only", []hostInterface{lo, public}, []string{"wan"}, "", "wan"},
		{"private and public address", []hostInterface{lo, shared}, []string{"shared"}, "", "shared"},
		{"link-local only", []hostInterface{local}, []string{"local"}, "", "local"},
		{"link-local and private", []hostInterface{mixed}, nil, "mixed", ""},
		{"none", []hostInterface{lo, down, bare}, nil, "", "no interface"},
	}
	for _, tt := range tests {
		got, warning := chooseInterface(tt.hosts, tt.defaults)
		if got != tt.want || (warning == "") != (tt.warning == "") || !strings.Contains(warning, tt.warning) {
			t.Errorf("%s: chose %q with warning %q, want %q", tt.name, got, warning, tt.want)
		}
	}
}

func TestParseRoutes(t *testing.T) {
	const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	0102A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
old0	00000000	0101A8C0	0002	0	0	0	00000000	0	0	0
bad0	00000000	0101A8C0	0203	0	0	0	00000000	0	0	0
short	00000000	0101A8C0
wrong	00000000	0101A8C0	xyz	0	0	0	00000000
`
	if got := parseRoutes(table); !slices.Equal(got, []string{"eth0", "wlan0"}) {
		t.Errorf("default routes by %v", got)
	}
	for i := range table {
		parseRoutes(table[:i]) // whatever is cut off
	}
}

func TestFindInterface(t *testing.T) {
	for _, flag := range []string{"lo", "127.0.0.1"} {
		if name, warning, err := FindInterface(flag); name != flag || warning != "" || err != nil {
			t.Errorf("%s: %q, %q, %v", flag, name, warning, err)
		}
	}
	if name, warning, err := FindInterface("none"); name != "" || warning != "" || err != nil {
		t.Errorf("none: %q, %q, %v", name, warning, err)
	}
	for _, flag := range []string{"", "nosuch0", "203.0.113.77", "::1", "lo:1", "127.0.0.1/8"} {
		if name, _, err := FindInterface(flag); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%q: %q, %v, want an error that names it", flag, name, err)
		}
	}
	name, warning, err := FindInterface("auto")
	if err != nil || (name == "") == (warning == "") {
		t.Errorf("auto: %q, %q, %v", name, warning, err)
	}
}

func TestLinkChanges(t *testing.T) {
	before := hostInterface{name: "eth0", index: 2, up: true, ipv4: prefixes("10.0.0.1/24", "10.0.1.1/24")}
	link, err := before.link("eth0")
	if err != nil || link.Local.Addr() != netip.MustParseAddr("10.0.0.1") || !slices.Equal(link.Subnets, prefixes("10.0.0.0/24", "10.0.1.0/24")) {
		t.Fatalf("link %+v, %v", link, err)
	}
	second, err := before.link("10.0.1.1")
	if err != nil || second.Local.Addr() != netip.MustParseAddr("10.0.1.1") {
		t.Fatalf("link by address %+v, %v", second, err)
	}
	tests := []struct {
		why string // is in the reason; empty: nothing changed
		now hostInterface
	}{
		{"", before},
		{"is down", hostInterface{name: "eth0", index: 2, ipv4: before.ipv4}},
		{"no IPv4 address yet", hostInterface{name: "eth0", index: 2, up: true}},
		{"made anew", hostInterface{name: "eth0", index: 3, up: true, ipv4: before.ipv4}},
		{"does not have the address 10.0.0.1", hostInterface{name: "eth0", index: 2, up: true, ipv4: prefixes("10.0.1.1/24")}},
		{"subnets", hostInterface{name: "eth0", index: 2, up: true, ipv4: prefixes("10.0.0.1/24")}},
		{"subnets", hostInterface{name: "eth0", index: 2, up: true, ipv4: prefixes("10.0.0.1/16", "10.0.1.1/24")}},
	}
	for _, tt := range tests {
		err := tt.now.changed(&link)
		if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: %v", tt.why, err)
		}
	}
}
