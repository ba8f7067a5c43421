package edits

import "net/netip"

// PrefixKey returns the key of a network, one that has no bits beyond its length:
//
//	| address 16, IPv4 mapped | family u8, 4 or 6 | length u8 | zero 2 |
func PrefixKey(p netip.Prefix) (k Key) {
	a := p.Addr().As16()
	copy(k[:], a[:])
	k[16], k[17] = 6, byte(p.Bits())
	if p.Addr().Is4() {
		k[16] = 4
	}
	return k
}

// Prefix returns the network that a key names; ok is false when it names none.
func Prefix(k Key) (p netip.Prefix, ok bool) {
	a := netip.AddrFrom16([16]byte(k[:16]))
	if k[16] == 4 {
		a = a.Unmap()
	}
	p = netip.PrefixFrom(a, int(k[17]))
	return p, p.IsValid() && p == p.Masked() && PrefixKey(p) == k
}
