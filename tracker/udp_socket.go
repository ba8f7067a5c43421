package tracker

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// udpReceiveBuffer is what is asked for as receive buffer of a socket, in
// bytes; the system grants up to net.core.rmem_max. It bridges the time in which the reader is not on a core.
const udpReceiveBuffer = 4 << 20

// ListenUDP opens sockets that share an address, between which the system deals out what arrives, each client's packets to one of them:
// one for each goroutine that is to serve. Those that are not bound to one address tell for
// every packet which of the host's it was sent to. An empty host in addr means both families and an IPv4 one IPv4 alone;
// 0.0.0.0 would otherwise be taken for both.
//
// It fails when the address is somebody else's, who may be sharing it too: so the first socket shares with nobody until it is open.
func ListenUDP(addr string, sockets int) ([]*net.UDPConn, error) {
	first, err := listenUDP(addr, false)
	if err != nil {
		return nil, err
	}
	all := []*net.UDPConn{first}
	if sockets > 1 {
		err = share(first)
	}
	addr = first.LocalAddr().String() // with the port that the system chose, if it was to
	for err == nil && len(all) < sockets {
		var conn *net.UDPConn
		if conn, err = listenUDP(addr, true); err == nil {
			all = append(all, conn)
		}
	}
	if err != nil {
		for _, c := range all {
			c.Close()
		}
		return nil, err
	}
	return all, nil
}

func listenUDP(addr string, shared bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		if shared {
			if err := setsockopt(c, syscall.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				return err
			}
		}
		// What leaves a socket that is bound to an address leaves from there, and need not be told.
		if ap, err := netip.ParseAddrPort(address); err == nil && !ap.Addr().IsUnspecified() {
			return nil
		}
		// An IPv6 socket tells of IPv4 packets too when asked for IPv6 packet information.
		level, option := syscall.IPPROTO_IP, syscall.IP_PKTINFO
		if network == "udp6" {
			level, option = syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO
		}
		return setsockopt(c, level, option, 1)
	}}
	conn, err := lc.ListenPacket(context.Background(), listenNetwork("udp", addr), addr)
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	if err := udp.SetReadBuffer(udpReceiveBuffer); err != nil {
		udp.Close()
		return nil, err
	}
	return udp, nil
}

// listenNetwork returns the network to listen on, tcp or udp with or without a 4.
func listenNetwork(network, addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return network + "4"
	}
	return network
}

// share lets sockets that ask for it from now on share the address of one that did not.
func share(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return setsockopt(raw, syscall.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// setsockopt sets an option that is a number.
func setsockopt(c syscall.RawConn, level, option, value int) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), level, option, value) }); cerr != nil {
		return cerr
	}
	return err
}

// Packet information as the system writes it and reads it (ip(7), ipv6(7)), after
// a header of length, level and type:
//
//	IPv4   | interface i32 | own address 4 | destination 4 |
//	IPv6   | destination 16 | interface u32 |      IPv4 packets: ::ffff:a.b.c.d
const (
	pktinfo4Size = 12
	pktinfo6Size = 20
)

// replyControl turns the control message that came with a packet into the one
// that makes the answer leave from the address the packet was sent to. It
// changes oob and returns a part of it; nothing when there is no packet information.
//
// The interface is left to the routing table, for the way back need not be the
// way there; only a link-local address means nothing without one.
func replyControl(oob []byte) []byte {
	if len(oob) < syscall.SizeofCmsghdr {
		return nil
	}
	level := binary.NativeEndian.Uint32(oob[syscall.SizeofCmsghdr-8:])
	kind := binary.NativeEndian.Uint32(oob[syscall.SizeofCmsghdr-4:])
	info := oob[syscall.SizeofCmsghdr:]
	switch {
	case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(info) >= pktinfo4Size:
		clear(info[:4])
		return oob[:syscall.SizeofCmsghdr+pktinfo4Size]
	case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_PKTINFO && len(info) >= pktinfo6Size:
		if linkLocal := info[0] == 0xfe && info[1]&0xc0 == 0x80; !linkLocal {
			clear(info[16:20])
		}
		return oob[:syscall.SizeofCmsghdr+pktinfo6Size]
	}
	return nil
}
