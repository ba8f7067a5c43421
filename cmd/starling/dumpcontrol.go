package main

import (
	"fmt"
	"strings"
	"time"

	"starling/wire"
)

// dumpedState is what a STATE says.
type dumpedState struct {
	Next        [wire.Spaces]uint32 `json:"next"` // sequences of records, tells and control packets
	Sent        time.Time           `json:"sent"`
	Torrents    uint64              `json:"torrents"`
	Peers       uint64              `json:"peers"`
	Inquires    string              `json:"inquires,omitempty"`
	Capacity    uint64              `json:"capacity"`
	Role        uint8               `json:"role"`
	Health      string              `json:"health"`
	CatchUpPort uint16              `json:"catch_up_port"`
	Version     string              `json:"version"`
	URL         string              `json:"url,omitempty"`
	Round       uint32              `json:"round"`
	Group       uint8               `json:"group"`
	Echoes      []string            `json:"echoes"` // whose challenges it returns
}

// dumpedRange is a run of sequences, both ends included.
type dumpedRange struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

// control takes in what a control packet of the keyed mode says.
func (d *dumpedPacket) control(p *wire.Packet) {
	var err error
	var ranges []wire.Range
	switch p.Kind {
	case wire.KindState:
		var st wire.State
		if st, err = p.State(nil); err == nil {
			d.State = dumpedStateOf(&st)
		}
	case wire.KindNack:
		var n wire.Nack
		n, err = p.Nack(nil)
		d.About, d.InEpoch, ranges = n.Target.String(), n.Epoch, n.Ranges
	case wire.KindGone:
		var g wire.Gone
		g, err = p.Gone(nil)
		d.About, d.InEpoch, ranges = p.From.String(), g.Epoch, g.Ranges
	case wire.KindEdits:
		var m wire.Edits
		if m, err = p.Edits(wire.Edits{}); err == nil {
			d.Edits = dumpedEditsOf(&m)
		}
	case wire.KindPromise:
		var m wire.Promise
		m, err = p.Promise(nil)
		d.About, d.InEpoch, ranges = m.Sender.String(), m.Epoch, m.Ranges
	}
	if err != nil {
		d.Error = err.Error()
	}
	for _, r := range ranges {
		d.Ranges = append(d.Ranges, dumpedRange(r))
	}
}

func dumpedStateOf(st *wire.State) *dumpedState {
	d := &dumpedState{
		Next: st.Next, Sent: time.Unix(0, st.Sent).UTC(), Torrents: st.Torrents, Peers: st.Peers,
		Capacity: st.Capacity, Role: st.Role, Health: st.Health.String(), CatchUpPort: st.CatchUpPort,
		Version: string(st.Version), URL: string(st.URL), Round: st.Round, Group: st.Group, Echoes: []string{},
	}
	if st.Inquired != (wire.NodeID{}) {
		d.Inquires = st.Inquired.String()
	}
	for i := range st.Echoes {
		d.Echoes = append(d.Echoes, st.Echoes[i].ID.String())
	}
	return d
}

// text returns what a STATE says, as a line has it. Texts of other nodes are quoted: whoever has no key prints what anybody sends.
func (d *dumpedState) text() string {
	s := fmt.Sprintf("%d torrents, %d peers, %s, next %d", d.Torrents, d.Peers, d.Health, d.Next[wire.SpaceData])
	if d.URL != "" {
		s += fmt.Sprintf(", %q", d.URL)
	}
	if d.Inquires != "" {
		s += ", asks " + d.Inquires
	}
	return s + ", echoes: " + strings.Join(d.Echoes, " ")
}

// rangesText returns which packets a NACK, GONE or PROMISE is about.
func (d *dumpedPacket) rangesText() string {
	parts := make([]string, len(d.Ranges))
	for i, r := range d.Ranges {
		parts[i] = fmt.Sprintf("%d-%d", r.First, r.Last)
	}
	return fmt.Sprintf("of %s: %s", d.About, strings.Join(parts, " "))
}
