package main

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// crowd is a flash crowd in small: clients that all come within a few seconds, and then when they are told to. A tenth come every
// twenty seconds, whatever they are told. What is counted is how many come in each slot of ten seconds.
type crowd struct {
	clients int
	rate    int // announces a second that the tracker is told it can serve
	length  time.Duration
}

const (
	crowdInterval = 20 * time.Second // that the tracker would tell if nothing pressed
	crowdArrival  = 4 * time.Second
	crowdSlot     = 10 * time.Second
	disobedient   = 10 // one in so many
)

// visit is when a client is to come next.
type visit struct {
	at     time.Time
	client uint32
}

type visits []visit

func (v visits) Len() int           { return len(v) }
func (v visits) Less(i, j int) bool { return v[i].at.Before(v[j].at) }
func (v visits) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }

// Push and Pop are container/heap's.
func (v *visits) Push(x any) { *v = append(*v, x.(visit)) }

// Pop removes the last of the slice.
func (v *visits) Pop() any {
	old := *v
	last := old[len(old)-1]
	*v = old[:len(old)-1]
	return last
}

// measure lets the crowd come and prints how full the slots were. It reports whether obedient clients kept the capacity.
func (c crowd) measure(w io.Writer, o *options) (bool, error) {
	where, stop, err := startWith(o, "--announce-rate", fmt.Sprintf("%d/s", c.rate),
		"--interval", crowdInterval.String(), "--min-interval", "10s", "--peer-timeout", "60s")
	if err != nil {
		return false, err
	}
	defer stop()
	socket, err := net.Dial("udp4", where)
	if err != nil {
		return false, err
	}
	defer socket.Close()
	id, err := connect(socket)
	if err != nil {
		return false, err
	}
	start := time.Now()
	var next visits
	for i := range c.clients {
		next = append(next, visit{start.Add(crowdArrival * time.Duration(i) / time.Duration(c.clients)), uint32(i)})
	}
	heap.Init(&next)
	slots := make([]int, c.length/crowdSlot)
	unanswered := 0
	for {
		v := heap.Pop(&next).(visit)
		if v.at.Sub(start) >= c.length {
			break
		}
		time.Sleep(time.Until(v.at))
		interval, err := announce(socket, id, v.client)
		if err != nil {
			unanswered++
		}
		slots[v.at.Sub(start)/crowdSlot]++
		if v.client%disobedient == 0 {
			interval = crowdInterval
		}
		heap.Push(&next, visit{v.at.Add(max(interval, time.Second)), v.client})
	}
	return c.print(w, slots, unanswered), nil
}

// print writes the slots after the arrival. The fullest is the first in which clients come back: all the disobedient do, and the obedient
// that were booked there before the calendar left room for the others, a place less in each slot for ten clients that had come.
func (c crowd) print(w io.Writer, slots []int, unanswered int) bool {
	capacity := c.rate * int(crowdSlot/time.Second)
	above, worst := 0, 0
	for _, n := range slots[1:] {
		if n > capacity {
			above++
		}
		worst = max(worst, n)
	}
	booked := 0.8 * float64(capacity) * disobedient / (disobedient + 1)
	obedient := booked * (disobedient - 1) / disobedient
	bound := (obedient+float64(c.clients/disobedient))/float64(capacity) + 0.05 // for clients at the border of a slot
	full := float64(worst) / float64(capacity)
	ok := full <= bound && unanswered == 0
	mark := map[bool]string{true: "ok ", false: "BAD"}[ok]
	fmt.Fprintf(w, "crowd: %d clients within %v, one in %d comes every 20 s whatever it is told; capacity %d announces in %v\n",
		c.clients, crowdArrival, disobedient, capacity, crowdSlot)
	fmt.Fprintf(w, "  %s slots after the first: %d of %d above capacity, the worst at %.2f of it (bound %.2f); without an answer: %d\n",
		mark, above, len(slots)-1, full, bound, unanswered)
	fmt.Fprintf(w, "      announces in each slot: %v\n", slots)
	return ok
}

// patience is for how long an answer over loopback is waited for.
const patience = time.Second

// exchange sends a packet and returns the answer, which must be of a length at least.
func exchange(socket net.Conn, packet []byte, least int) ([]byte, error) {
	if _, err := socket.Write(packet); err != nil {
		return nil, err
	}
	var answer [1500]byte
	socket.SetReadDeadline(time.Now().Add(patience))
	n, err := socket.Read(answer[:])
	if err == nil && n < least {
		err = fmt.Errorf("an answer of %d bytes", n)
	}
	return answer[:n], err
}

// connect asks for a connection id (BEP 15).
func connect(socket net.Conn) (id uint64, err error) {
	packet := binary.BigEndian.AppendUint64(nil, 0x41727101980)
	answer, err := exchange(socket, append(packet, make([]byte, 8)...), 16)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(answer[8:]), nil
}

// announce announces a client, which is one port, and returns when it is to come again.
func announce(socket net.Conn, id uint64, client uint32) (interval time.Duration, err error) {
	var packet [98]byte
	binary.BigEndian.PutUint64(packet[0:], id)
	packet[11] = 1 // announce
	binary.BigEndian.PutUint32(packet[12:], client)
	packet[16] = 1                                              // the torrent
	binary.BigEndian.PutUint64(packet[64:], 1)                  // left
	binary.BigEndian.PutUint32(packet[84:], 0x0a000000|client)  // its address
	binary.BigEndian.PutUint32(packet[92:], 0xffffffff)         // numwant
	binary.BigEndian.PutUint16(packet[96:], uint16(client)|0x1) // its port
	answer, err := exchange(socket, packet[:], 20)
	if err != nil {
		return 0, err
	}
	return time.Duration(binary.BigEndian.Uint32(answer[8:])) * time.Second, nil
}
