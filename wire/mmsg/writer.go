package mmsg

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Writer sends datagrams over one socket, many at a time.
type Writer struct {
	raw      syscall.RawConn
	messages []mmsghdr
	parts    []unix.Iovec
	first    int // the first that was not sent yet
	end      int // behind the last that was added

	n    int
	err  syscall.Errno
	call func(fd uintptr) bool
}

// NewWriter returns a writer that sends at most count datagrams at a time.
func NewWriter(raw syscall.RawConn, count int) *Writer {
	w := &Writer{raw: raw, messages: make([]mmsghdr, count), parts: make([]unix.Iovec, count)}
	for i := range w.messages {
		h := &w.messages[i].hdr
		h.Iov = &w.parts[i]
		h.SetIovlen(1)
	}
	w.call = func(fd uintptr) bool {
		w.n, w.err = sendmmsg(fd, w.messages[w.first:w.end])
		return w.err != unix.EAGAIN
	}
	return w
}

// Name returns the system's form of an IPv4 address and port.
func Name(to netip.AddrPort) []byte {
	b, addr := make([]byte, unix.SizeofSockaddrInet4), to.Addr().As4()
	binary.NativeEndian.PutUint16(b, unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], to.Port())
	copy(b[4:], addr[:])
	return b
}

// Waiting returns how many datagrams wait to be sent.
func (w *Writer) Waiting() int { return w.end - w.first }

// Add makes b, which is not empty, the next datagram to be sent to an address in the system's form, nil where the socket is connected, with a control
// message, nil for none. All three must stay as they are until it was sent.
func (w *Writer) Add(b, name, control []byte) {
	h := &w.messages[w.end].hdr
	w.parts[w.end].Base = &b[0]
	w.parts[w.end].SetLen(len(b))
	h.Name, h.Namelen, h.Control = nil, uint32(len(name)), nil
	if len(name) > 0 {
		h.Name = &name[0]
	}
	if len(control) > 0 {
		h.Control = &control[0]
	}
	h.SetControllen(len(control))
	w.end++
}

// Send sends what was added, and waits while the system has no room. When it fails it has sent the first n; the next was
// refused and is given up, and those behind it still wait.
func (w *Writer) Send() (n int, err error) {
	for w.first < w.end {
		if err := w.raw.Write(w.call); err != nil {
			w.pass(1)
			return n, err
		}
		switch w.err {
		case 0:
			n += w.n
			w.pass(w.n)
		case unix.EINTR:
		default:
			w.pass(1)
			return n, os.NewSyscallError("sendmmsg", w.err)
		}
	}
	return n, nil
}

// pass leaves n datagrams behind.
func (w *Writer) pass(n int) {
	w.first += n
	if w.first == w.end {
		w.first, w.end = 0, 0
	}
}

// Clear gives up what waits.
func (w *Writer) Clear() { w.first, w.end = 0, 0 }
