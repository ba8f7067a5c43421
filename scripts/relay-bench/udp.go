package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// Numbers of BEP 15.
const (
	protocol       = 0x41727101980
	actionConnect  = 0
	actionAnnounce = 1
	actionScrape   = 2
	eventStarted   = 2
)

// answerTime is how long a tracker may be silent before it is asked again.
const answerTime = 500 * time.Millisecond

// asker asks one tracker over UDP (BEP 15), for one thing at a time.
type asker struct {
	conn        net.Conn
	transaction uint32
}

// connect gets a connection id, and asks again until there is an answer or time is over.
func (a *asker) connect(by time.Time) (id uint64, err error) {
	for {
		var answer []byte
		if answer, err = a.ask(protocol, actionConnect, nil); err == nil && len(answer) >= 8 {
			return binary.BigEndian.Uint64(answer), nil
		}
		if time.Now().After(by) {
			return 0, fmt.Errorf("%s does not answer: %v", a.conn.RemoteAddr(), err)
		}
		time.Sleep(answerTime / 10) // nobody is there yet, and said so
	}
}

// announce tells of a client, which leeches at port 6881.
func (a *asker) announce(id uint64, hash [20]byte) error {
	_, err := a.ask(id, actionAnnounce, announceOf(hash))
	return err
}

// announceOf returns what an announce has behind its transaction id.
func announceOf(hash [20]byte) []byte {
	b := append(hash[:], make([]byte, 20+8)...) // peer id, downloaded
	b = binary.BigEndian.AppendUint64(b, 1)     // left
	b = append(b, make([]byte, 8)...)           // uploaded
	b = binary.BigEndian.AppendUint32(b, eventStarted)
	b = append(b, make([]byte, 4+4)...)           // address, key
	b = binary.BigEndian.AppendUint32(b, 1<<32-1) // as many peers as it likes
	return binary.BigEndian.AppendUint16(b, 6881)
}

// clients returns how many a torrent has.
func (a *asker) clients(id uint64, hash [20]byte) (uint32, error) {
	b, err := a.ask(id, actionScrape, hash[:])
	if err != nil || len(b) < 12 {
		return 0, fmt.Errorf("a scrape: %d bytes, %v", len(b), err)
	}
	return binary.BigEndian.Uint32(b) + binary.BigEndian.Uint32(b[8:]), nil
}

// ask sends a request and returns what the answer has behind its transaction id.
func (a *asker) ask(id uint64, action uint32, rest []byte) ([]byte, error) {
	a.transaction++
	b := binary.BigEndian.AppendUint64(nil, id)
	b = binary.BigEndian.AppendUint32(b, action)
	b = binary.BigEndian.AppendUint32(b, a.transaction)
	if _, err := a.conn.Write(append(b, rest...)); err != nil {
		return nil, err
	}
	a.conn.SetReadDeadline(time.Now().Add(answerTime))
	answer := make([]byte, 2048)
	for {
		n, err := a.conn.Read(answer)
		if err != nil {
			return nil, err
		}
		if n >= 8 && binary.BigEndian.Uint32(answer[4:]) == a.transaction {
			if got := binary.BigEndian.Uint32(answer); got != action {
				return nil, fmt.Errorf("the answer to action %d is %d: %q", action, got, answer[8:n])
			}
			return answer[8:n], nil
		}
	}
}
