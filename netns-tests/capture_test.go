package netnstests

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A frame is one UDP datagram as it was on the segment.
type frame struct {
	at       time.Time
	mac      [6]byte // of the receiver
	ttl      byte
	src, dst netip.AddrPort
	payload  []byte
	sync     syncPacket // when syncErr is nil
	syncErr  error
}

// group is where trackers meet, from the protocol's text.
var group = netip.MustParseAddrPort("224.0.42.5:9696")

// groupMAC is the Ethernet address of a group, which ends in the lower 23 bits
// of the IP address.
func groupMAC(group netip.Addr) [6]byte {
	b := group.As4()
	return [6]byte{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// A capture collects the frames of a segment, in a file and in memory.
type capture struct {
	net     *network
	sock    int
	stopped atomic.Bool
	ended   chan struct{}
	foreign map[netip.Addr]bool // sources that may send anything: the forgers

	mu     sync.Mutex // guards what follows
	frames []frame
	quiet  netip.Addr // what this one sends is not kept: a million peers
}

// startCapture opens a packet socket on the bridge, which then is shown
// everything that passes it, and reads until the test ends.
func (n *network) startCapture() *capture {
	n.t.Helper()
	c := &capture{net: n, ended: make(chan struct{}), foreign: make(map[netip.Addr]bool)}
	if err := inNamespace(n.name+"-switch", c.open); err != nil {
		n.t.Fatalf("capture: %v", err)
	}
	file, err := os.Create(filepath.Join(n.dir, "segment.pcap"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.stop)
	go func() {
		defer close(c.ended)
		defer file.Close()
		if err := c.read(file); err != nil {
			n.t.Errorf("capture: %v", err)
		}
	}()
	return c
}

// open makes the socket. It waits for a frame only so long, so that read sees
// when it is over, and has the kernel note when each frame came.
func (c *capture) open() (err error) {
	br0, err := net.InterfaceByName("br0")
	if err != nil {
		return err
	}
	everything := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8) // in network order
	if c.sock, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(everything)); err != nil {
		return err
	}
	promiscuous := &unix.PacketMreq{Ifindex: int32(br0.Index), Type: unix.PACKET_MR_PROMISC}
	pause := &unix.Timeval{Usec: 20000}
	// Only root may have a buffer beyond the system's limit, which others make do with.
	const buffer = 16 << 20
	if unix.SetsockoptInt(c.sock, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		unix.SetsockoptInt(c.sock, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	return errors.Join(
		unix.SetsockoptInt(c.sock, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(c.sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, pause),
		unix.SetsockoptPacketMreq(c.sock, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, promiscuous),
		unix.Bind(c.sock, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: br0.Index}),
	)
}

// stop ends the capture and judges all of it.
func (c *capture) stop() {
	c.stopped.Store(true)
	<-c.ended
	unix.Close(c.sock)
	c.judge()
}

// read takes frames from the socket until the capture is stopped and nothing
// is left, and writes each to the file in the form that tcpdump and Wireshark
// read: a header of 24 bytes, then seconds, nanoseconds, size twice, frame.
func (c *capture) read(file io.Writer) error {
	order := binary.NativeEndian
	head := order.AppendUint32(nil, 0xa1b23c4d) // times have nanoseconds
	head = order.AppendUint16(order.AppendUint16(head, 2), 4)
	head = append(head, make([]byte, 8)...)
	head = order.AppendUint32(order.AppendUint32(head, 1<<16), 1) // whole Ethernet frames
	if _, err := file.Write(head); err != nil {
		return err
	}
	buf, control := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, controls, _, _, err := unix.Recvmsg(c.sock, buf, control, 0)
		if err == unix.EAGAIN && c.stopped.Load() {
			return nil
		}
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		at, err := arrival(control[:controls])
		if err != nil {
			return err
		}
		entry := order.AppendUint32(order.AppendUint32(nil, uint32(at.Unix())), uint32(at.Nanosecond()))
		entry = order.AppendUint32(order.AppendUint32(entry, uint32(n)), uint32(n))
		if _, err := file.Write(append(entry, buf[:n]...)); err != nil {
			return err
		}
		c.keep(at, bytes.Clone(buf[:n]))
	}
}

// arrival is the kernel's time in the message that came with a frame.
func arrival(control []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 || len(messages[0].Data) < 16 {
		return time.Time{}, fmt.Errorf("no time in %v: %v", messages, err)
	}
	data := messages[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:]))), nil
}

// keep adds a frame to those in memory if it is a UDP datagram.
func (c *capture) keep(at time.Time, b []byte) {
	f, ok := parseFrame(b)
	if !ok {
		return
	}
	f.at = at
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.src.Addr() == c.quiet {
		return
	}
	f.sync, f.syncErr = decodeSync(f.payload)
	c.frames = append(c.frames, f)
}

// parseFrame reads an Ethernet frame with a whole UDP datagram in it.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < 14 {
		return f, false
	}
	copy(f.mac[:], b)
	etherType, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	var src, dst netip.Addr
	switch {
	case etherType == 0x0800 && len(b) >= 20 && b[9] == 17:
		// A fragment is nobody's datagram; what sends none is not to be found out by luck.
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return f, false
		}
		f.ttl = b[8]
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[int(b[0]&15)*4 : binary.BigEndian.Uint16(b[2:])]
	case etherType == 0x86dd && len(b) >= 40 && b[6] == 17:
		f.ttl = b[7]
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	default:
		return f, false
	}
	if len(b) < 8 {
		return f, false
	}
	f.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	f.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	f.payload = b[8:]
	return f, true
}
