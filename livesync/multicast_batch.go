package livesync

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"starling/wire"
	"starling/wire/mmsg"
)

// readMost is how many datagrams are read at once at most: enough that the system call is a small part of what they cost.
const readMost = 64

// reader reads many datagrams at a time from the socket that receives.
type reader struct {
	in       *mmsg.Reader
	got      [readMost]Datagram
	overflow uint32 // datagrams that the system ever had no room for, as it said last
}

func newReader(raw syscall.RawConn) *reader {
	return &reader{in: mmsg.NewReader(raw, readMost, wire.MaxPacket+1)} // a longer datagram is cut to a length that is too long
}

// read waits for datagrams and returns those that are there.
func (r *reader) read() (ds []Datagram, overflowed int, err error) {
	n, err := r.in.Read()
	if err != nil {
		return nil, 0, err
	}
	before := r.overflow
	for i := range n {
		r.got[i] = Datagram{B: r.in.Bytes(i), From: r.in.From(i), To: r.control(r.in.Control(i))}
	}
	return r.got[:n], int(r.overflow - before), nil
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

// writer sends many packets at a time to the group.
type writer struct {
	out *mmsg.Writer
	to  []byte
}

func newWriter(raw syscall.RawConn, to netip.AddrPort) *writer {
	return &writer{out: mmsg.NewWriter(raw, burst), to: mmsg.Name(to)}
}

// write sends packets, none of them empty. When it fails it has sent the first n, and the failure concerns the next.
func (w *writer) write(pkts [][]byte) (n int, err error) {
	for n < len(pkts) {
		for _, b := range pkts[n:min(len(pkts), n+burst)] {
			w.out.Add(b, w.to, nil)
		}
		sent, err := w.out.Send()
		n += sent
		if err != nil {
			w.out.Clear()
			return n, err
		}
	}
	return n, nil
}
