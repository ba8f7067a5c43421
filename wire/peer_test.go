package wire_test

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"starling/wire"
)

func TestParseInfoHash(t *testing.T) {
	const v1 = "0123456789abcdef0123456789abcdef01234567"
	for _, s := range []string{v1, strings.ToUpper(v1), v1 + "89abcdef0123456789abcdef"} {
		if h, err := wire.ParseInfoHash(s); err != nil || h.String() != v1 {
			t.Errorf("%q is %v, %v", s, h, err)
		}
	}
	for _, s := range []string{"", v1[1:], v1 + "8", "g" + v1[1:], v1 + "89abcdef0123456789abcdeg"} {
		if h, err := wire.ParseInfoHash(s); err == nil {
			t.Errorf("%q is %v", s, h)
		}
	}
}

// A peer has the same address, port, family and text in every form it takes.
func TestPeerRoundTrip(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 10))
		ip := netip.AddrFrom4([4]byte(randomBytes(rng, 4)))
		if rng.IntN(2) == 0 {
			ip = netip.AddrFrom16([16]byte(randomBytes(rng, 16)))
		}
		want := netip.AddrPortFrom(ip, uint16(rng.Uint32()))
		p := wire.PeerFrom(want)
		if p.AddrPort() != want || p.Addr() != want.Addr() || p.Port() != want.Port() || p.String() != want.String() {
			t.Fatalf("seed %d: %v is %v", seed, want, p)
		}
		var again wire.Peer
		if p.Is4() {
			again = wire.PeerFrom4(p.Compact())
		} else {
			again = wire.PeerFrom6(p.Compact())
		}
		if again != p || p.Is4() != ip.Is4() {
			t.Fatalf("seed %d: %v is %v from its compact form", seed, p, again)
		}
	}
}

func TestPeerValid(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1:6881":              true,
		"127.0.0.1:1":                 true,
		"223.255.255.255:65535":       true,
		"240.0.0.1:6881":              true,
		"192.0.2.1:0":                 false,
		"0.0.0.0:6881":                false,
		"0.0.0.1:6881":                false,
		"224.0.0.1:6881":              false,
		"239.255.255.255:6881":        false,
		"255.255.255.255:6881":        false,
		"[2001:db8::1]:6881":          true,
		"[fe80::1]:6881":              true,
		"[::1]:6881":                  true,
		"[2001:db8::1]:0":             false,
		"[::]:6881":                   false,
		"[ff02::1]:6881":              false,
		"[::ffff:192.0.2.1]:6881":     true,
		"[::ffff:0.0.0.0]:6881":       false,
		"[::ffff:224.0.42.5]:6881":    false,
		"[::ffff:255.255.255.255]:80": false,
		"[fe80::1%eth0]:6881":         true,
	} {
		p := wire.PeerFrom(netip.MustParseAddrPort(text))
		if got := p.Valid(); got != want {
			t.Errorf("%s valid: %t, want %t", text, got, want)
		}
	}
	if none := wire.PeerFrom(netip.AddrPort{}); none.Valid() {
		t.Error("no address is valid")
	}
}

func FuzzParseInfoHash(f *testing.F) {
	f.Add("0123456789abcdef0123456789abcdef01234567")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := wire.ParseInfoHash(s)
		if err == nil && !strings.EqualFold(h.String(), s[:40]) {
			t.Fatalf("%q is %v", s, h)
		}
	})
}
