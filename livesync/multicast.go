package livesync

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// ttl keeps our packets on the segment.
const ttl = 1

// What waits in the system waits in one line, whatever lane it is of. So little may wait there: 16 packets, each of which the
// system counts as unsentCost bytes. The rest waits in the lanes.
const (
	unsentMost = 16
	unsentCost = 2304
)

// multicast is membership of the group with real sockets, two of them: one receives and is bound
// to the group's address, so that the kernel lets nothing in that was sent elsewhere; the
// other sends from the interface's address and a port of its own, by which we know our packets when they come back.
type multicast struct {
	link    Link
	group   netip.AddrPort
	in, out *net.UDPConn
	reader  *reader
	writer  *writer
	oob     [64]byte // control messages of the datagram that Read reads
}

// Listen joins group on the interface with that name or address. The
// interface is joined by its index, whatever its flags say: lo lacks MULTICAST yet works.
// The result also does to only listen.
func Listen(group netip.AddrPort, ifname string) (Conn, error) {
	h, err := findLink(ifname)
	if err != nil {
		return nil, err
	}
	link, err := h.link(ifname)
	if err != nil {
		return nil, err
	}
	ifi := &net.Interface{Index: link.Index, Name: link.Name}
	in, granted, err := receiver(group, ifi)
	if err != nil {
		return nil, fmt.Errorf("joining %s on %s: %w", group, link.Name, err)
	}
	out, err := sender(link.Local, ifi)
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("sending from %s on %s: %w", link.Local.Addr(), link.Name, err)
	}
	link.Local = out.LocalAddr().(*net.UDPAddr).AddrPort()
	link.ReceiveBuffer = granted
	rawIn, err := in.SyscallConn()
	rawOut, err2 := out.SyscallConn()
	if err := errors.Join(err, err2); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return &multicast{link: link, group: group, in: in, out: out, reader: newReader(rawIn), writer: newWriter(rawOut, group)}, nil
}

// receiver returns a socket bound to the group's address that is a member on ifi, and the size of its buffer.
// It is made by hand: net.ListenPacket binds to the wildcard address when asked for a multicast one.
func receiver(group netip.AddrPort, ifi *net.Interface) (c *net.UDPConn, granted int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "livesync")
	defer f.Close() // what is returned is a duplicate
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),     // several nodes on one host
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0), // only what was joined here
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1),       // the destination with each packet
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),      // and how many there was no room for
	)
	if err != nil {
		return nil, 0, os.NewSyscallError("setsockopt", err)
	}
	granted = enlarge(fd, wantedBuffer)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(group.Port()), Addr: group.Addr().As4()}); err != nil {
		return nil, 0, os.NewSyscallError("bind", err)
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, 0, err
	}
	c = pc.(*net.UDPConn)
	if err := ipv4.NewPacketConn(c).JoinGroup(ifi, net.UDPAddrFromAddrPort(group)); err != nil {
		c.Close()
		return nil, 0, err
	}
	return c, granted, nil
}

// enlarge asks for a receive buffer of that many bytes, past the system's
// limit if we may, and returns how many there are. The kernel counts twice what it is asked for, to cover its own overhead.
func enlarge(fd, bytes int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) // what it did is read below
	}
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return granted / 2
}

// sender returns a socket that sends from local's address and a port the system chooses, out of ifi.
func sender(local netip.AddrPort, ifi *net.Interface) (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(c)
	err = errors.Join(p.SetMulticastInterface(ifi), p.SetMulticastTTL(ttl), p.SetMulticastLoopback(true),
		c.SetWriteBuffer(unsentMost*unsentCost/2)) // of which the system makes twice as much
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Read implements [Conn]. It does not allocate.
func (m *multicast) Read(b []byte) (int, netip.AddrPort, netip.Addr, error) {
	n, oobn, _, from, err := m.in.ReadMsgUDPAddrPort(b, m.oob[:])
	if err != nil {
		return 0, from, netip.Addr{}, err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return n, from, m.reader.control(m.oob[:oobn]), nil
}

// ReadBatch implements [batchConn]. It does not allocate.
func (m *multicast) ReadBatch() (ds []Datagram, overflowed int, err error) { return m.reader.read() }

// Send implements [Conn].
func (m *multicast) Send(b []byte) error {
	_, err := m.out.WriteToUDPAddrPort(b, m.group)
	return err
}

// SendBatch implements [batchConn].
func (m *multicast) SendBatch(pkts [][]byte) (int, error) { return m.writer.write(pkts) }

// Link implements [Conn].
func (m *multicast) Link() Link { return m.link }

// Check implements [Conn].
func (m *multicast) Check() error {
	h, err := findLink(m.link.Name)
	if err != nil {
		return err
	}
	return h.changed(&m.link)
}

// Close implements [Conn].
func (m *multicast) Close() error { return errors.Join(m.in.Close(), m.out.Close()) }
