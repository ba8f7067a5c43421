package livesync

import "net/netip"

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

// Link is what a node must know of the interface it joined on.
type Link struct {
	Name          string
	Index         int
	Local         netip.AddrPort // where our own packets come from
	Subnets       []netip.Prefix // of the interface's IPv4 addresses
	ReceiveBuffer int            // bytes the system granted
}
