package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/seal"
)

// exchange does what a NATS server does for relays: it hands on what is published to whoever listens, at once and in order.
type exchange struct{ relays []*Relay }

// join connects a relay.
func (x *exchange) join(r *Relay) {
	x.relays = append(x.relays, r)
	r.connected(time.Now(), "exchange", &bus{publish: func(subject, reply string, b []byte) error {
		for _, other := range x.relays {
			if other == r {
				continue
			}
			for _, name := range other.subjects { // as connect subscribes
				switch subject {
				case name:
					other.heard(false, reply, b)
				case inbox(name, other.number):
					other.heard(true, reply, b)
				}
			}
		}
		return nil
	}})
}

// packets keeps what was delivered.
type packets []string

// newRelay returns a relay of those keys, and what it delivers.
func newRelay(keys ...seal.Key) (*Relay, *packets) {
	var got packets
	return New(Config{Keys: keys, Log: zerolog.Nop(), Deliver: func(_ time.Time, number uint64, b []byte) {
		got = append(got, fmt.Sprintf("%x: %s", number, b))
	}}), &got
}

// carryAll publishes what waits.
func carryAll(r *Relay) {
	ctx, end := context.WithCancel(context.Background())
	end()
	r.carry(ctx)
}

// TestLane: as many packets wait as there is room for, the first that came, in their order; the others are counted, and nobody waits.
func TestLane(t *testing.T) {
	r, _ := newRelay(seal.Key{1})
	other, got := newRelay(seal.Key{1})
	var x exchange
	x.join(r)
	x.join(other)
	for round := range 3 { // in the second and third the buffers are those of the first
		*got = nil
		for i := range maxWaiting + 100 {
			r.Send(fmt.Appendf(nil, "%d.%d", round, i))
		}
		if s := r.Status(); s.Dropped.Full != uint64(100*(round+1)) || s.Sent.Packets != uint64(maxWaiting*round) {
			t.Fatalf("before they leave: %+v", s)
		}
		carryAll(r)
		var want packets
		for i := range maxWaiting {
			want = append(want, fmt.Sprintf("%x: %d.%d", r.number, round, i))
		}
		if !slices.Equal(*got, want) {
			t.Fatalf("round %d: %d packets came, the last %q", round, len(*got), (*got)[max(0, len(*got)-1):])
		}
	}
	s := r.Status()
	if s.Dropped != (Dropped{Full: 300}) || s.Sent.Packets != 3*maxWaiting || other.Status().Received != s.Sent {
		t.Errorf("%+v, received %+v", s, other.Status().Received)
	}
}

// TestLaneWithoutServer: what leaves while there is no server, or one that takes nothing, is dropped and counted; what leaves later is not late.
func TestLaneWithoutServer(t *testing.T) {
	r, _ := newRelay(seal.Key{1})
	other, got := newRelay(seal.Key{1})
	send := func(text string) {
		r.Send([]byte(text))
		carryAll(r)
	}
	send("before the first")
	r.connected(time.Now(), "deaf", &bus{publish: func(string, string, []byte) error { return io.ErrClosedPipe }})
	send("refused")
	r.cutOff(time.Now(), errors.New("gone"))
	send("cut off")
	send("cut off, too")
	if s := r.Status(); s.Dropped != (Dropped{CutOff: 4}) || s.Connected || s.Error != "gone" || s.Sent.Packets != 0 {
		t.Errorf("%+v", s)
	}
	var x exchange
	x.join(r)
	x.join(other)
	send("there")
	if s := r.Status(); !slices.Equal(*got, packets{fmt.Sprintf("%x: there", r.number)}) || !s.Connected || s.Connects != 2 || s.Sent.Packets != 1 {
		t.Errorf("%q, %+v", *got, s)
	}
}

// TestCarry: what is sent leaves without anybody asking, and what was sent before the end leaves before it.
func TestCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRelay(seal.Key{1})
		other, got := newRelay(seal.Key{1})
		var x exchange
		x.join(r)
		x.join(other)
		ctx, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.carry(ctx)
		}()
		began := time.Now()
		for _, text := range []string{"one", "two"} {
			r.Send([]byte(text))
			synctest.Wait()
			if n := len(*got); (*got)[n-1] != fmt.Sprintf("%x: %s", r.number, text) {
				t.Errorf("%q, and not %q", *got, text)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("they waited %s", took)
		}
		r.Send([]byte("farewell"))
		end()
		<-done
		if len(*got) != 3 {
			t.Errorf("%q", *got)
		}
	})
}

// TestRotation: in each step of a rotation nodes that have made it and nodes that have not hear each other, each packet once, and connect
// with each other; those of another key hear nothing of it.
func TestRotation(t *testing.T) {
	old, fresh := seal.Key{1}, seal.Key{2}
	steps := [][]seal.Key{{old}, {old, fresh}, {fresh, old}, {fresh}}
	for i := range steps {
		for j := max(0, i-1); j <= min(len(steps)-1, i+1); j++ {
			synctest.Test(t, func(t *testing.T) {
				a, atA := newRelay(steps[i]...)
				b, atB := newRelay(steps[j]...)
				stranger, atStranger := newRelay(seal.Key{3})
				var x exchange
				for _, r := range []*Relay{a, b, stranger} {
					x.join(r)
				}
				for _, r := range []*Relay{a, b} {
					r.Send([]byte("hello"))
					carryAll(r)
				}
				if !slices.Equal(*atB, packets{fmt.Sprintf("%x: hello", a.number)}) || !slices.Equal(*atA, packets{fmt.Sprintf("%x: hello", b.number)}) || len(*atStranger) != 0 {
					t.Errorf("steps %d and %d: %q, %q, %q", i, j, *atA, *atB, *atStranger)
				}
				meet(t, a, b)
				meet(t, b, a)
			})
		}
	}
}

// meet connects one relay with another, and says something each way.
func meet(t *testing.T, a, b *Relay) {
	t.Helper()
	l := b.tunnels.listen()
	defer l.Close()
	dialed, err := a.dial(t.Context(), livesync.RelayAddress(b.number))
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	dialed.SetDeadline(time.Now().Add(time.Minute))
	if _, err := dialed.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	b3 := make([]byte, 3)
	if _, err := io.ReadFull(accepted, b3); err != nil || string(b3) != "ask" {
		t.Errorf("%q, %v", b3, err)
	}
	if _, err := accepted.Write([]byte("yes")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(dialed, b3); err != nil || string(b3) != "yes" {
		t.Errorf("%q, %v", b3, err)
	}
}

// TestHeard: our own messages and those that do not say whose they are are counted, and go no further.
func TestHeard(t *testing.T) {
	r, got := newRelay(seal.Key{1})
	r.heard(false, r.reply, []byte("ours"))
	r.heard(true, r.reply, []byte("ours"))
	for _, reply := range []string{"", "_INBOX.abc", r.subjects[0] + ".", r.reply + "0", "starling.0123456789abcdeg"} {
		r.heard(false, reply, []byte("whose?"))
	}
	if s := r.Status(); s.Dropped != (Dropped{Own: 2, Foreign: 5}) || len(*got) != 0 || s.Received.Packets != 0 {
		t.Errorf("%q, %+v", *got, s)
	}
}
