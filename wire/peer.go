package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// InfoHash names a torrent: the SHA-1 of its info dictionary (BEP 3), or the
// first 20 bytes of the SHA-256 (BEP 52).
type InfoHash [20]byte

// String returns the 40 hexadecimal digits.
func (h InfoHash) String() string { return hex.EncodeToString(h[:]) }

// ParseInfoHash reads 40 hexadecimal digits, or the 64 of a BEP 52 hash, of
// which a tracker sees the first 20 bytes only.
func ParseInfoHash(s string) (InfoHash, error) {
	var h InfoHash
	if len(s) != 40 && len(s) != 64 {
		return h, fmt.Errorf("info hash %q has %d characters, want 40 or 64 hexadecimal digits", s, len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return h, fmt.Errorf("info hash %q is not hexadecimal", s)
	}
	copy(h[:], b)
	return h, nil
}

// Sizes of a compact peer, address and port (BEP 23, BEP 7).
const (
	Compact4 = 6
	Compact6 = 18
)

// Peer is the address a client listens on: 16 bytes of address, IPv4 in its
// mapped form ::ffff:a.b.c.d, and the port. It holds no pointer, compares with ==, and its
// last 6 bytes are the compact form of an IPv4 peer, all 18 that of an IPv6 one.
type Peer [Compact6]byte

// PeerFrom returns ap as a Peer. An IPv4-mapped address is an IPv4 peer; a zone is dropped.
func PeerFrom(ap netip.AddrPort) Peer {
	var p Peer
	a := ap.Addr().As16()
	copy(p[:16], a[:])
	binary.BigEndian.PutUint16(p[16:], ap.Port())
	return p
}

// PeerFrom4 reads the compact form of an IPv4 peer, 6 bytes.
func PeerFrom4(b []byte) Peer {
	p := Peer{10: 0xff, 11: 0xff}
	copy(p[12:], b[:Compact4])
	return p
}

// PeerFrom6 reads the compact form of an IPv6 peer, 18 bytes. A mapped address makes it an IPv4 peer.
func PeerFrom6(b []byte) Peer { return Peer(b[:Compact6]) }

// Is4 reports whether the peer is reached over IPv4.
func (p *Peer) Is4() bool {
	return binary.BigEndian.Uint64(p[:]) == 0 && binary.BigEndian.Uint32(p[8:]) == 0xffff
}

// Compact returns the peer as it stands in an answer, 6 bytes or 18. The slice points into p.
func (p *Peer) Compact() []byte {
	if p.Is4() {
		return p[12:]
	}
	return p[:]
}

// Addr returns the address, IPv4 ones unmapped.
func (p Peer) Addr() netip.Addr { return netip.AddrFrom16([16]byte(p[:16])).Unmap() }

// Port returns the port.
func (p Peer) Port() uint16 { return binary.BigEndian.Uint16(p[16:]) }

// AddrPort returns address and port, IPv4 ones unmapped.
func (p Peer) AddrPort() netip.AddrPort { return netip.AddrPortFrom(p.Addr(), p.Port()) }

// String returns address and port, as 192.0.2.1:6881 or [2001:db8::1]:6881.
func (p Peer) String() string { return p.AddrPort().String() }

// Valid reports whether a client could listen there: the port is not 0 and the
// address is not unspecified (of IPv4 all of 0.0.0.0/8), not multicast and not the broadcast address.
// Whatever is not valid is neither stored nor told nor handed out.
func (p *Peer) Valid() bool {
	if p[16] == 0 && p[17] == 0 {
		return false
	}
	if p.Is4() {
		a := binary.BigEndian.Uint32(p[12:])
		return a>>24 != 0 && a>>28 != 0xe && a != 0xffffffff
	}
	if p[0] == 0xff {
		return false
	}
	return binary.BigEndian.Uint64(p[:]) != 0 || binary.BigEndian.Uint64(p[8:]) != 0
}
