package netnstests

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
)

// A forger sends whatever it likes to whatever group from one of its host's
// addresses, all from one socket, so that what it sends arrives in order.
type forger struct {
	host *host
	conn *net.UDPConn
}

// forger opens a socket on the host with this source address. Nothing the
// address sends is held to the protocol.
func (h *host) forger(src netip.Addr) *forger {
	t := h.net.t
	t.Helper()
	f := &forger{host: h}
	h.net.wire.foreign[src] = true
	err := h.in(func() (err error) {
		f.conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	return f
}

// send throws one datagram at an address.
func (f *forger) send(to netip.AddrPort, b []byte) {
	f.host.net.t.Helper()
	if _, err := f.conn.WriteToUDPAddrPort(b, to); err != nil {
		f.host.net.t.Fatal(err)
	}
}

// header begins a packet with an id of 8 hex digits and a type number.
func header(id string, number uint32) []byte {
	return binary.BigEndian.AppendUint32(mustHex(id), number)
}

// live makes a packet of one IPv4 record.
func live(id, hash string, peer netip.AddrPort, flags byte) []byte {
	return appendRecord(header(id, 0), hash, peer, flags)
}

func appendRecord(b []byte, hash string, peer netip.AddrPort, flags byte) []byte {
	b = append(b, mustHex(hash)...)
	b = append(b, peer.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, peer.Port())
	return append(b, flags, 0)
}

// beacon makes a packet that claims so many torrents.
func beacon(id string, torrents uint64) []byte {
	return binary.BigEndian.AppendUint64(header(id, 1), torrents)
}

// inquire makes a packet that asks a node for what it knows.
func inquire(id, target string) []byte {
	return append(header(id, 2), mustHex(target)...)
}

// appendTell adds what is known of one torrent to a packet of type 3.
func appendTell(b []byte, hash string, minutes uint32, downloaded uint64) []byte {
	b = append(b, mustHex(hash)...)
	b = binary.BigEndian.AppendUint32(b, minutes)
	return binary.BigEndian.AppendUint64(b, downloaded)
}

// mustHex reads hexadecimal digits that a test wrote itself.
func mustHex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}
