package catchup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

// dialogue is a machine whose life is written down: what it is told on the left, what it does on the right.
type dialogue struct {
	now  time.Time
	m    *Machine
	text strings.Builder
}

func (d *dialogue) say(format string, args ...any) {
	fmt.Fprintf(&d.text, "%8s  %s\n", d.now.Sub(epoch), fmt.Sprintf(format, args...))
}

// look asks the machine what it wants now.
func (d *dialogue) look() {
	if w := d.m.Next(d.now); w != nil {
		since := "everything"
		if !w.Since.IsZero() {
			since = "since " + w.Since.Sub(epoch).String()
			if w.All {
				since = "everything, and stops " + since
			}
			if w.Prune {
				since += ", who is not there is gone"
			}
		}
		d.say("%40s-> ask node %d for %s", "", w.ID[3], since)
	}
}

// node is told of a STATE.
func node(id byte, epoch uint64, health wire.Health, peers uint64, uptime time.Duration) Other {
	return Other{
		Want:   Want{ID: wire.NodeID{3: id}, Epoch: epoch, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, id}), 9696)},
		Uptime: uptime, Health: health, Peers: peers, First: 1,
	}
}

// line does what one line of a conversation says.
func (d *dialogue) line(line string) {
	f := strings.Fields(line)
	id, n := byte(0), 0
	num := func(i int) int {
		fmt.Sscan(f[i], &n)
		return n
	}
	if len(f) > 1 && f[0] != "ended" {
		id = byte(num(1))
	}
	ready := d.m != nil && d.m.Ready()
	switch f[0] {
	case "start": // start SNAPSHOT-AGE [part]
		since := time.Time{}
		if f[1] != "none" {
			age, _ := time.ParseDuration(f[1])
			since = d.now.Add(-age)
		}
		d.m = NewMachine(d.now, since, len(f) > 2, 45*time.Minute)
	case "wait":
		w, _ := time.ParseDuration(f[1])
		d.wait(w)
		return
	case "heard": // heard ID EPOCH HEALTH PEERS UPTIME
		up, _ := time.ParseDuration(f[5])
		d.m.Heard(d.now, node(id, uint64(num(2)), map[string]wire.Health{"healthy": wire.Healthy, "catching": wire.CatchingUp, "draining": wire.Draining}[f[3]], uint64(num(4)), up))
	case "gone":
		d.m.Gone(wire.NodeID{3: id})
	case "lost":
		ago, _ := time.ParseDuration(f[2])
		d.m.Lost(d.now, wire.NodeID{3: id}, d.now.Add(-ago))
	case "recall": // recall ID EPOCH NEXT AGE
		age, _ := time.ParseDuration(f[4])
		d.m.Recall(d.now, []Known{{wire.NodeID{3: id}, uint64(num(2)), uint32(num(3)), age}})
	case "moved":
		d.m.Moved(d.now)
	case "ended": // ended complete|no [lacks ID AGE | knows ID AGE]
		d.m.Ended(d.now, &Header{Complete: f[1] == "complete"}, d.known(f[2:]), nil)
	case "failed":
		d.m.Ended(d.now, nil, nil, errors.New("broken"))
	default:
		panic(line)
	}
	d.say("%s", line)
	d.look()
	if d.m.Ready() && !ready {
		d.say("%40s   ready, complete: %v", "", d.m.Complete(d.now))
	}
}

// known returns that a teller knew all that the others had told, but for what one told lately: 0 is whom it does not know.
func (d *dialogue) known(but []string) (all []Known) {
	for id, o := range d.m.others {
		k := Known{ID: id, Epoch: o.Epoch, Next: 1}
		if len(but) == 3 && but[1] == fmt.Sprint(id[3]) {
			k.Next = 0
			k.Age, _ = time.ParseDuration(but[2])
		}
		all = append(all, k)
	}
	if len(but) == 3 && (but[1] == "0" || but[0] == "knows") {
		var id byte
		fmt.Sscan(but[1], &id)
		age, _ := time.ParseDuration(but[2])
		all = append(all, Known{ID: wire.NodeID{3: id}, Epoch: 1, Next: 9, Age: age})
	}
	return all
}

// wait lets time pass from one deadline to the next. Nodes are heard every second meanwhile.
func (d *dialogue) wait(w time.Duration) {
	end := d.now.Add(w)
	for steps := 0; d.now.Before(end); steps++ {
		if steps > 1000 {
			panic("the machine does not let time pass")
		}
		next := earlier(d.m.Due(d.now), end)
		if next.After(end) || !next.After(d.now) {
			next = end
		}
		d.now = next
		for _, o := range d.m.others {
			if d.now.Sub(o.heard) >= time.Second {
				o.heard = d.now
			}
		}
		ready := d.m.Ready()
		if d.m.Stalled(d.now) {
			d.say("stalled")
			d.m.Ended(d.now, nil, nil, errors.New("stalled"))
		}
		d.look()
		if d.m.Ready() && !ready {
			d.say("%40s   ready, complete: %v", "", d.m.Complete(d.now))
		}
	}
}

// TestDialogue reads the conversations in testdata/machine.txt: lines that begin with > are said to the machine, the others are what came of it.
func TestDialogue(t *testing.T) {
	const path = "testdata/machine.txt"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var d *dialogue
	flush := func() {
		if d != nil {
			out.WriteString(d.text.String())
		}
		d = nil
	}
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "> "):
			if d == nil {
				d = &dialogue{now: epoch}
			}
			out.WriteString(line + "\n")
			d.line(strings.TrimPrefix(line, "> "))
		case strings.HasPrefix(line, "#") || line == "":
			flush()
			out.WriteString(line + "\n")
		}
	}
	flush()
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != string(text) {
		t.Errorf("the machine says something else than %s, see -update:\n%s", path, out.String())
	}
}

// TestMachineProperties tells the machine anything in any order: it never asks two at once, never a node that is not there, that rests or
// has no port; it becomes ready in bounded time, and asks until nothing lacks as soon as streams come through.
func TestMachineProperties(t *testing.T) {
	for range 2000 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		now := epoch
		m := NewMachine(now, now.Add(-time.Duration(rng.IntN(2000))*time.Second), rng.IntN(2) == 0, 45*time.Minute)
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
			id := byte(1 + rng.IntN(4))
			switch rng.IntN(10) {
			case 0, 1, 2, 3:
				o := node(id, uint64(rng.IntN(2)), wire.Health(rng.IntN(3)), rng.Uint64N(10), time.Duration(rng.IntN(1000))*time.Second)
				if rng.IntN(5) == 0 {
					o.Addr = netip.AddrPortFrom(o.Addr.Addr(), 0)
				}
				m.Heard(now, o)
			case 4:
				m.Lost(now, wire.NodeID{3: id}, now.Add(-time.Duration(rng.IntN(1000))*time.Second))
			case 5:
				m.Gone(wire.NodeID{3: id})
			case 6:
				if m.Going() != nil {
					m.Ended(now, nil, nil, errors.New("broken"))
				}
			case 7:
				if m.Going() != nil {
					m.Ended(now, &Header{}, nil, nil)
				}
			}
			if m.OutOfStep(now) != 0 && m.Lacks() == 0 {
				t.Fatalf("seed %d: %v behind with %d lacks", seed, m.OutOfStep(now), m.Lacks())
			}
			going := m.Going()
			if w := m.Next(now); w != nil {
				o := m.others[w.ID]
				if going != nil || o == nil || w.Addr.Port() == 0 || now.Before(o.rest) || o.Health == wire.Draining {
					t.Fatalf("seed %d: asks %+v", seed, w)
				}
			}
		}
		for range 400 {
			now = now.Add(time.Second)
			m.Heard(now, node(9, 1, wire.Healthy, 1, time.Hour))
			if m.Next(now) != nil || m.Going() != nil {
				m.Ended(now, &Header{Complete: true}, nil, nil)
			}
		}
		if !m.Ready() || m.Lacks() != 0 || m.OutOfStep(now) != 0 {
			t.Fatalf("seed %d: ready %v, %d lacks", seed, m.Ready(), m.Lacks())
		}
	}
}
