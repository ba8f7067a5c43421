package main

import (
	"bytes"
	"net"
	"strconv"

	"starling/tracker"
	"starling/wire"
	"starling/wire/mmsg"
)

// floorPeers is how many peers a floor answers, about as many as a tracker does in this world.
const floorPeers = 32

var noPeers [floorPeers * wire.Compact4]byte

// serveFloor answers whatever comes to addr over UDP and HTTP with what looks like the answer to an announce, on the sockets that our tracker has, and
// knows nothing: what is left of a tracker's cost when it does not do its work. Its peers are made up, so the load finds its answers wrong.
func serveFloor(addr string) error {
	conns, err := tracker.ListenUDP(addr, 1)
	if err != nil {
		return err
	}
	listeners, err := tracker.ListenHTTP(addr, 1)
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- floorUDP(conns[0]) }()
	go func() { failed <- floorHTTP(listeners[0]) }()
	return <-failed
}

// floorUDP echoes: the header of each packet goes back before an answer that is always the same.
func floorUDP(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	const batch = 32
	in, out := mmsg.NewReader(raw, batch, 2048), mmsg.NewWriter(raw, batch)
	var replies [batch][]byte
	return in.Serve(func(n int) {
		for i := range n {
			h, ok := wire.ParseUDPHeader(in.Bytes(i))
			if !ok {
				continue
			}
			replies[i] = floorReply(replies[i][:0], h)
			out.Add(replies[i], in.Name(i), nil)
		}
		for out.Waiting() > 0 {
			out.Send() // who is not answered asks again
		}
	})
}

func floorReply(b []byte, h wire.UDPHeader) []byte {
	switch h.Action {
	case wire.ActionConnect:
		return wire.AppendUDPConnectReply(b, h.TransactionID, 1)
	case wire.ActionScrape:
		return wire.AppendUDPScrapeEntry(wire.AppendUDPScrapeReply(b, h.TransactionID), 0, 0, 0)
	}
	b = wire.AppendUDPAnnounceReply(b, h.TransactionID, 1800, 0, 0)
	return append(b, noPeers[:]...)
}

// floorHTTP looks for the end of each request and whether the connection is to stay; the first one is served before the next connection is accepted, since
// the system hands out only those that have brought one.
func floorHTTP(ln net.Listener) error {
	reply := (&wire.AnnounceReply{Interval: 1800, Compact: true, Peers4: noPeers[:]}).Append(nil)
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + strconv.Itoa(len(reply)) + "\r\n\r\n"
	answer := append([]byte(head), reply...)
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		buf := make([]byte, 2048)
		if floorRequest(conn, buf, answer) {
			go func() {
				for floorRequest(conn, buf, answer) {
				}
			}()
		}
	}
}

// floorRequest answers one request, and reports whether there may be another.
func floorRequest(conn net.Conn, buf, answer []byte) bool {
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		m, err := conn.Read(buf[n:])
		if n += m; err != nil || n == len(buf) {
			conn.Close()
			return false
		}
	}
	_, err := conn.Write(answer)
	if err != nil || bytes.Contains(buf[:n], []byte("Connection: close")) {
		conn.Close()
		return false
	}
	return true
}
