package mmsg

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// nameSize is room for the system's form of an address of either family.
	nameSize = unix.SizeofSockaddrInet6
	// controlSize is room for the control messages of a datagram: where it was sent to, of either family, and how many were lost.
	controlSize = 80
)

// name is the system's form of an address and a port: family u16 | port u16 | IPv4: address 4 | IPv6: flow 4, address 16, zone u32.
type name [nameSize]byte

// Reader receives datagrams of one socket, many at a time.
type Reader struct {
	raw      syscall.RawConn
	messages []mmsghdr
	parts    []unix.Iovec
	names    []name
	controls [][controlSize]byte
	bytes    []byte // of all datagrams, one behind the other
	size     int    // of each

	n     int
	err   syscall.Errno
	quiet int                   // calls in a row that have received something, and of which the scheduler was not told
	call  func(fd uintptr) bool // made once, since it would be allocated each time
}

// NewReader returns a reader that takes at most count datagrams at a time. Longer ones than size are cut to it.
func NewReader(raw syscall.RawConn, count, size int) *Reader {
	r := &Reader{
		raw: raw, messages: make([]mmsghdr, count), parts: make([]unix.Iovec, count), names: make([]name, count),
		controls: make([][controlSize]byte, count), bytes: make([]byte, count*size), size: size,
	}
	for i := range r.messages {
		r.parts[i].Base = &r.bytes[i*size]
		r.parts[i].SetLen(size)
		h := &r.messages[i].hdr
		h.Name, h.Iov, h.Control = &r.names[i][0], &r.parts[i], &r.controls[i][0]
		h.Namelen = nameSize
		h.SetIovlen(1)
		h.SetControllen(controlSize)
	}
	r.call = func(fd uintptr) bool {
		r.receive(fd)
		return r.err != unix.EAGAIN
	}
	return r
}

// receive takes the datagrams that are there.
func (r *Reader) receive(fd uintptr) {
	for i := range r.n { // the last call wrote how much it used
		h := &r.messages[i].hdr
		h.Namelen = nameSize
		h.SetControllen(controlSize)
	}
	r.n, r.err = recvmmsg(fd, r.messages, r.quiet < quietReads)
	if r.err != 0 {
		r.n = 0
	}
	if r.quiet++; r.err == unix.EAGAIN || r.quiet > quietReads {
		r.quiet = 0
	}
}

// Read waits for a datagram and returns how many there are.
func (r *Reader) Read() (n int, err error) {
	for {
		if err := r.raw.Read(r.call); err != nil {
			return 0, err
		}
		switch r.err {
		case 0:
			return r.n, nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("recvmmsg", r.err)
		}
	}
}

// serveReads is how many times in a row Serve reads without looking at the socket's deadline.
const serveReads = 64

// Serve calls handle each time there are datagrams, with how many, until reading fails. A datagram that came alone has in all likelihood emptied the
// socket: nothing is asked of it then before the next arrives, where Read would ask and hear that there is none.
func (r *Reader) Serve(handle func(n int)) error {
	// While this function runs, no arrival is forgotten: one that falls between a receive and the wait ends the wait.
	serve := func(fd uintptr) bool {
		for range serveReads {
			r.receive(fd)
			switch r.err {
			case 0:
				handle(r.n)
			case unix.EINTR:
			default:
				return r.err != unix.EAGAIN
			}
			if r.n == 1 {
				r.quiet = 0
				return false
			}
		}
		return true
	}
	for {
		if err := r.raw.Read(serve); err != nil {
			return err
		}
		if r.err != 0 && r.err != unix.EINTR {
			return os.NewSyscallError("recvmmsg", r.err)
		}
	}
}

// Bytes returns datagram i, as much of it as there was room for.
func (r *Reader) Bytes(i int) []byte {
	return r.bytes[i*r.size : i*r.size+int(r.messages[i].len)]
}

// From returns where datagram i came from. An IPv4 address that came over an IPv6 socket is in its mapped form, and zones are left out.
func (r *Reader) From(i int) netip.AddrPort {
	b := &r.names[i]
	port := binary.BigEndian.Uint16(b[2:])
	if binary.NativeEndian.Uint16(b[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port)
}

// Name returns the system's form of the same, zone included, to be answered to.
func (r *Reader) Name(i int) []byte { return r.names[i][:r.messages[i].hdr.Namelen] }

// Control returns the control messages of datagram i, as the socket was asked for them.
func (r *Reader) Control(i int) []byte { return r.controls[i][:r.messages[i].hdr.Controllen] }
