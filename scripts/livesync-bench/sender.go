package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// What is told, as the livesync protocol has it: a header of 8 bytes, 4 of the teller's id and 4 of the type, which is 0,
// and 52 records of an info hash, IPv4 address, port, flags, and a byte that is zero.
const (
	torrents   = 100_000
	peers      = 10 // of each
	perPacket  = 52
	headerSize = 8
	recordSize = 28
	seeding    = 0x80
)

var group = netip.MustParseAddrPort("224.0.42.5:9696")

// sender tells of each peer once a round, in an order that has nothing to do with torrents.
type sender struct {
	conn    *net.UDPConn
	packets [][]byte
}

func newSender() (*sender, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInet4Addr(int(fd), syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1})
	})
	if err == nil {
		err = failed
	}
	return &sender{conn: conn, packets: packetsOf(rand.New(rand.NewPCG(1, 2)))}, err
}

// packetsOf returns full packets that tell of each peer, and of a few twice, which fill the last one.
func packetsOf(rng *rand.Rand) [][]byte {
	records := make([][recordSize]byte, 0, torrents*peers)
	for range torrents {
		var r [recordSize]byte
		for i := 0; i < 20; i += 4 {
			binary.BigEndian.PutUint32(r[i:], rng.Uint32())
		}
		for range peers {
			copy(r[20:], []byte{11, byte(rng.Uint32()), byte(rng.Uint32()), byte(1 + rng.Uint32N(254))})
			binary.BigEndian.PutUint16(r[24:], uint16(1024+rng.Uint32N(60_000)))
			r[26] = 0
			if rng.Uint32N(4) == 0 {
				r[26] = seeding
			}
			records = append(records, r)
		}
	}
	rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	for i := 0; len(records)%perPacket != 0; i++ {
		records = append(records, records[i])
	}
	var packets [][]byte
	for ; len(records) > 0; records = records[perPacket:] {
		pkt := make([]byte, headerSize, headerSize+perPacket*recordSize)
		copy(pkt, []byte{7, 7, 7, 7})
		for i := range perPacket {
			pkt = append(pkt, records[i][:]...)
		}
		packets = append(packets, pkt)
	}
	return packets
}

// offer sends that many packets at a rate of so many records a second and returns how many records the system took. What
// is late because the sender was held up follows at once.
func (s *sender) offer(rate, packets int) (records int) {
	began := time.Now()
	for sent := 0; sent < packets; {
		due := min(packets, int(time.Since(began).Seconds()*float64(rate)/perPacket))
		for ; sent < due; sent++ {
			if _, err := s.conn.WriteToUDPAddrPort(s.packets[sent%len(s.packets)], group); err == nil {
				records += perPacket
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	return records
}
