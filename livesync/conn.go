package livesync

import (
	"net/netip"

	"starling/wire"
)

// Conn is one membership of the group on one interface: the seam between a
// node and the network. [Listen] makes a real one, livesynctest.Segment one in memory.
type Conn interface {
	// Read waits for a datagram, fills b with as much of it as fits and returns
	// where it came from and the group it was sent to. It fails once the membership is over.
	Read(b []byte) (n int, from netip.AddrPort, to netip.Addr, err error)
	// Send sends b to the group. A failure concerns this datagram only.
	Send(b []byte) error
	// Link describes the interface as it was when it was joined.
	Link() Link
	// Check reports why the membership has ended, if it has: the interface went
	// down, is gone, was made anew or has other addresses.
	Check() error
	// Close leaves the group and makes Read fail.
	Close() error
}

// batchConn is a [Conn] that moves several datagrams at a time, for the price of one system call.
type batchConn interface {
	Conn
	// ReadBatch waits for datagrams and returns those that are there, valid until the next call, and how many the system had no
	// room for since the last call.
	ReadBatch() (ds []Datagram, overflowed int, err error)
	// SendBatch sends packets to the group, in their order. When it fails it has sent the first n of them, and the
	// failure concerns the next one only.
	SendBatch(pkts [][]byte) (n int, err error)
}

// Datagram is what was received: from where, to which group, and its bytes, as far as there was room.
type Datagram struct {
	From netip.AddrPort
	To   netip.Addr
	B    []byte
}

// batched returns a membership that moves several datagrams at a time, which not all networks can.
func batched(c Conn) batchConn {
	if b, ok := c.(batchConn); ok {
		return b
	}
	one := &single{Conn: c}
	one.d[0].B = make([]byte, wire.MaxPacket+1) // a longer datagram is cut to a length that is too long
	return one
}

// single moves one datagram after the other.
type single struct {
	Conn
	d [1]Datagram
}

func (s *single) ReadBatch() ([]Datagram, int, error) {
	d := &s.d[0]
	n, from, to, err := s.Read(d.B[:cap(d.B)])
	if err != nil {
		return nil, 0, err
	}
	*d = Datagram{From: from, To: to, B: d.B[:n]}
	return s.d[:], 0, nil
}

func (s *single) SendBatch(pkts [][]byte) (int, error) {
	for i, b := range pkts {
		if err := s.Send(b); err != nil {
			return i, err
		}
	}
	return len(pkts), nil
}

// Link is what a node must know of the interface it joined on.
type Link struct {
	Name          string
	Index         int
	Local         netip.AddrPort // where our own packets come from
	Subnets       []netip.Prefix // of the interface's IPv4 addresses
	ReceiveBuffer int            // bytes the system granted
}
