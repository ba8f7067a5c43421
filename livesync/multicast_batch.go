package livesync

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/wire"
)

// readMost is how many datagrams are read at once at most: enough that the system call is a small part of what they cost.
const readMost = 64

// oobSize is room for the control messages of a datagram: where it was sent to, and how many were lost.
const oobSize = 64

// reader reads many datagrams at a time from one socket, and allocates nothing while it does.
type reader struct {
	raw      syscall.RawConn
	messages [readMost]mmsghdr
	parts    [readMost]unix.Iovec
	names    [readMost][unix.SizeofSockaddrInet4]byte
	oob      [readMost][oobSize]byte
	bytes    [readMost][wire.MaxPacket + 1]byte // a longer datagram is cut to a length that is too long
	got      [readMost]Datagram
	overflow uint32 // datagrams that the system ever had no room for, as it said last

	n    int
	err  syscall.Errno
	call func(fd uintptr) bool // made once, since it would be allocated each time
}

// newReader returns a reader of a socket.
func newReader(raw syscall.RawConn) *reader {
	r := &reader{raw: raw}
	for i := range r.messages {
		r.parts[i].Base = &r.bytes[i][0]
		r.parts[i].SetLen(len(r.bytes[i]))
		h := &r.messages[i].hdr
		h.Name, h.Iov, h.Control = &r.names[i][0], &r.parts[i], &r.oob[i][0]
		h.SetIovlen(1)
	}
	r.call = func(fd uintptr) bool {
		for i := range r.messages { // the last call wrote how much it used
			h := &r.messages[i].hdr
			h.Namelen = uint32(len(r.names[i]))
			h.SetControllen(len(r.oob[i]))
		}
		r.n, r.err = recvmmsg(fd, r.messages[:])
		return r.err != unix.EAGAIN
	}
	return r
}

// read waits for datagrams and returns those that are there.
func (r *reader) read() (ds []Datagram, overflowed int, err error) {
	for {
		if err := r.raw.Read(r.call); err != nil {
			return nil, 0, err
		}
		if r.err == 0 {
			break
		}
		if r.err != unix.EINTR {
			return nil, 0, os.NewSyscallError("recvmmsg", r.err)
		}
	}
	before := r.overflow
	for i := range r.n {
		m := &r.messages[i]
		d := &r.got[i]
		d.B = r.bytes[i][:m.len]
		d.From = addrPortOf(&r.names[i])
		d.To = r.control(r.oob[i][:m.hdr.Controllen])
	}
	return r.got[:r.n], int(r.overflow - before), nil
}

// addrPortOf reads the system's form of an IPv4 address and port: family 2, port 2, address 4 bytes.
func addrPortOf(name *[unix.SizeofSockaddrInet4]byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), binary.BigEndian.Uint16(name[2:]))
}

// control reads the control messages of a datagram. It returns the address that it was sent to, the zero address when that is
// not there, and notes how many datagrams the system had no room for.
func (r *reader) control(oob []byte) (to netip.Addr) {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			to = netip.AddrFrom4([4]byte(data[8:12])) // interface index 4, our address 4, destination 4
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			r.overflow = binary.NativeEndian.Uint32(data)
		}
		oob = rest
	}
	return to
}

// writer sends many packets at a time to one address, and allocates nothing while it does.
type writer struct {
	raw      syscall.RawConn
	to       [unix.SizeofSockaddrInet4]byte
	messages [burst]mmsghdr
	parts    [burst]unix.Iovec

	left []mmsghdr // what is to be sent by call
	n    int
	err  syscall.Errno
	call func(fd uintptr) bool
}

// newWriter returns a writer that sends to an IPv4 address and port.
func newWriter(raw syscall.RawConn, to netip.AddrPort) *writer {
	w := &writer{raw: raw}
	addr := to.Addr().As4()
	binary.NativeEndian.PutUint16(w.to[0:], unix.AF_INET)
	binary.BigEndian.PutUint16(w.to[2:], to.Port())
	copy(w.to[4:], addr[:])
	for i := range w.messages {
		h := &w.messages[i].hdr
		h.Name, h.Namelen, h.Iov = &w.to[0], uint32(len(w.to)), &w.parts[i]
		h.SetIovlen(1)
	}
	w.call = func(fd uintptr) bool {
		w.n, w.err = sendmmsg(fd, w.left)
		return w.err != unix.EAGAIN
	}
	return w
}

// write sends packets, none of them empty. When it fails it has sent the first n, and the failure concerns the next.
func (w *writer) write(pkts [][]byte) (n int, err error) {
	for n < len(pkts) {
		some := pkts[n:min(len(pkts), n+burst)]
		for i, b := range some {
			w.parts[i].Base = &b[0]
			w.parts[i].SetLen(len(b))
		}
		w.left = w.messages[:len(some)]
		if err := w.raw.Write(w.call); err != nil {
			return n, err
		}
		switch w.err {
		case 0:
			n += w.n
		case unix.EINTR:
		default:
			return n, os.NewSyscallError("sendmmsg", w.err)
		}
	}
	return n, nil
}
