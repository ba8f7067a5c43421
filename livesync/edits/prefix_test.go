package edits

import (
	"net/netip"
	"testing"
)

func TestPrefix(t *testing.T) {
	for _, text := range []string{"0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"} {
		want := netip.MustParsePrefix(text)
		if p, ok := Prefix(PrefixKey(want)); !ok || p != want {
			t.Errorf("%s read as %v %v", text, p, ok)
		}
	}
	for _, k := range []Key{{}, {16: 4}, {16: 6, 17: 129}, {15: 1, 16: 6, 17: 64}, {10: 0xff, 11: 0xff, 16: 4, 17: 33}, {16: 6, 17: 0, 19: 1}} {
		if p, ok := Prefix(k); ok {
			t.Errorf("%x names %v", k, p)
		}
	}
}
