package repair

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/livesync/livesynctest/dialogue"
	"starling/wire"
)

// TestDialogues plays the conversations under testdata.
func TestDialogues(t *testing.T) {
	dialogue.Play(t, func(t *testing.T, happened *strings.Builder) func([]string) {
		d := &conversation{log: happened}
		return func(words []string) { d.command(t, words) }
	})
}

// conversation is a segment whose packets all arrive at once, except at those who miss them.
type conversation struct {
	*segment
	log    *strings.Builder
	missed map[string]bool // names of those who do not hear what is sent now
	deaf   map[string]bool // names of those who hear nothing for now
	broken map[string]bool // names of those who do not get what others send in a sender's place
}

// command runs one line:
//
//	nodes N [SEED]                        there are nodes a, b, c ...
//	NAME sends [N] [missed by NAME ...]   packets of records
//	NAME discards [N]                     uses up numbers for records that were discarded
//	NAME state                            says what its next number is
//	NAME bye                              likewise, and ends
//	NAME crashes                          ends
//	NAME restarts                         is there with a new epoch
//	deaf [NAME ...]                       hear nothing from now on, the others everything
//	broken [NAME ...]                     do not get what others send in a sender's place from now on
//	run DURATION                          time passes
//	show NAME                             what became of the packets it heard
func (d *conversation) command(t *testing.T, f []string) {
	switch f[0] {
	case "nodes":
		d.start(t, f[1:])
		return
	case "deaf":
		d.deaf = set(f[1:])
		return
	case "broken":
		d.broken = set(f[1:])
		return
	case "run":
		dur, err := time.ParseDuration(f[1])
		if err != nil {
			t.Fatal(err)
		}
		d.run(dur)
		return
	case "show":
		d.show(d.find(f[1]))
		return
	}
	h := d.find(f[0])
	n, err := 1, error(nil)
	if rest := f[2:]; len(rest) > 0 && rest[0] != "missed" {
		n, err = strconv.Atoi(rest[0])
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, word := range f {
		if word == "by" {
			d.missed = set(f[i+1:])
		}
	}
	for range n {
		d.act(h, f[1])
	}
	d.missed = nil
}

func (d *conversation) act(h *host, what string) {
	switch what {
	case "sends":
		d.live(h)
	case "discards":
		d.discard(h)
	case "state":
		d.state(h)
	case "bye":
		d.bye(h)
	case "crashes":
		h.dead = true
	case "restarts":
		d.restart(h)
	default:
		d.t.Fatalf("%s cannot %q", h.name, what)
	}
	d.arrive()
}

func (d *conversation) start(t *testing.T, f []string) {
	n, err := strconv.Atoi(f[0])
	if err != nil {
		t.Fatal(err)
	}
	d.segment = newSegment(t, 1, n)
	d.fate = func(from, to *host, p *wire.Packet) []time.Duration {
		if d.missed[to.name] || d.deaf[to.name] || d.broken[to.name] && p.Kind == wire.KindLive4 && p.From != from.id {
			return nil
		}
		return []time.Duration{0}
	}
	d.say = func(h *host, what string) {
		fmt.Fprintf(d.log, "%7s %s %s\n", d.clock(d.now), h.name, what)
	}
}

func (d *conversation) find(name string) *host {
	for _, h := range d.hosts {
		if h.name == name {
			return h
		}
	}
	d.t.Fatalf("there is no node %q", name)
	return nil
}

func (d *conversation) show(h *host) {
	for _, o := range d.hosts {
		if o != h {
			d.say(h, fmt.Sprintf("of %s's packets: %+v", o.name, h.m.Counts(o.id)))
		}
	}
}

func set(names []string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}
