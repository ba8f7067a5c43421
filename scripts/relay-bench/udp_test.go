package main

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"
)

// TestAsker asks a tracker that knows one torrent, and answers to somebody else first.
func TestAsker(t *testing.T) {
	ours, its := net.Pipe()
	var ends sync.WaitGroup
	defer ends.Wait()
	defer ours.Close()
	hash := [20]byte{19: 7}
	ends.Go(func() {
		defer its.Close()
		b := make([]byte, 2048)
		known := false
		for {
			n, err := its.Read(b)
			if err != nil {
				return
			}
			var answer []byte
			switch action := binary.BigEndian.Uint32(b[8:]); {
			case action == actionConnect && n == 16 && binary.BigEndian.Uint64(b) == protocol:
				answer = binary.BigEndian.AppendUint64(nil, 99)
			case action == actionAnnounce && n == 98 && binary.BigEndian.Uint64(b) == 99:
				known = [20]byte(b[16:]) == hash && binary.BigEndian.Uint32(b[80:]) == eventStarted && binary.BigEndian.Uint16(b[96:]) == 6881
				answer = make([]byte, 12)
			case action == actionScrape && n == 36 && known:
				answer = []byte{0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2}
			}
			head := append([]byte(nil), b[8:16]...)
			other := append([]byte(nil), head...)
			other[7]++
			its.Write(other)
			its.Write(append(head, answer...))
		}
	})
	a := &asker{conn: ours}
	id, err := a.connect(time.Now().Add(time.Minute))
	if err != nil || id != 99 {
		t.Fatal(id, err)
	}
	if n, err := a.clients(id, hash); err == nil {
		t.Errorf("%d of an answer that is cut short", n)
	}
	if err := a.announce(id, hash); err != nil {
		t.Error(err)
	}
	if n, err := a.clients(id, hash); n != 3 || err != nil {
		t.Error(n, err)
	}
	ours.Close()
	if _, err := a.connect(time.Now().Add(-time.Second)); err == nil {
		t.Error("who is gone answers")
	}
}
