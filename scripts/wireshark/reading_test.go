package wireshark

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"starling/wire"
)

// A reading is what is to be shown of a packet: the values of each field, in their order.
type reading map[string][]string

// add adds a value: bytes as hexadecimal digits, numbers as decimal ones.
func (r reading) add(field string, value any) {
	switch v := value.(type) {
	case []byte:
		r[field] = append(r[field], hex.EncodeToString(v))
	default:
		r[field] = append(r[field], fmt.Sprint(v))
	}
}

// id adds a node's id, which is shown as a number.
func (r reading) id(field string, id wire.NodeID) { r.add(field, "0x"+id.String()) }

// errorNames are the dissector's names of what package wire returns.
var errorNames = map[error]string{wire.ErrShort: "short", wire.ErrLong: "long", wire.ErrType: "type", wire.ErrMalformed: "malformed"}

// read returns what package wire makes of a packet.
func read(b []byte) reading {
	r := make(reading)
	p, err := wire.ParsePacket(b)
	if len(b) >= wire.HeaderSize && !errors.Is(err, wire.ErrLong) {
		r.id("livesync.id", p.From)
	}
	if err != nil {
		r.add("livesync.error", errorNames[err])
		return r
	}
	r.add("livesync.kind", p.Kind)
	if p.Keyed {
		r.add("livesync.epoch", p.Epoch)
		r.add("livesync.seq", p.Seq)
		r.add("livesync.tag", p.Tag[:])
	}
	if p.Kind.Control() {
		body := make(reading)
		if err := body.control(&p); err != nil {
			r.add("livesync.error", errorNames[err])
			return r
		}
		for field, values := range body {
			r[field] = append(r[field], values...)
		}
		return r
	}
	r.plain(&p)
	return r
}

// plain adds what stands in a packet that nodes without a key send.
func (r reading) plain(p *wire.Packet) {
	switch p.Kind {
	case wire.KindBeacon:
		r.add("livesync.torrents", p.Torrents)
	case wire.KindInquire:
		r.id("livesync.target", p.Target)
	case wire.KindLive4, wire.KindLive6:
		for i := range p.Len() {
			rec := p.Record(i)
			r.add("livesync.info_hash", rec.InfoHash[:])
			peer := rec.Peer.AddrPort()
			r.add("address", peer.Addr())
			r.add("livesync.record.port", peer.Port())
			r.add("livesync.record.flags", uint8(rec.Flags))
		}
	case wire.KindTell:
		for i := range p.Len() {
			e := p.Tell(i)
			r.add("livesync.info_hash", e.InfoHash[:])
			r.add("livesync.tell.minutes", e.Age)
			r.add("livesync.tell.downloaded", e.Downloaded)
		}
	}
}

// control adds what stands in a control packet.
func (r reading) control(p *wire.Packet) error {
	switch p.Kind {
	case wire.KindState:
		s, err := p.State(nil)
		r.state(&s)
		return err
	case wire.KindNack:
		n, err := p.Nack(nil)
		r.id("livesync.about.id", n.Target)
		r.add("livesync.about.epoch", n.Epoch)
		r.add("livesync.nack.origin", n.Origin)
		r.ranges(n.Ranges)
		return err
	case wire.KindGone:
		g, err := p.Gone(nil)
		r.add("livesync.about.epoch", g.Epoch)
		r.add("livesync.gone.age", g.Age)
		r.ranges(g.Ranges)
		return err
	case wire.KindBye:
		y, err := p.Bye()
		r.add("livesync.bye.next", y.Next)
		return err
	case wire.KindPromise:
		m, err := p.Promise(nil)
		r.id("livesync.about.id", m.Sender)
		r.add("livesync.about.epoch", m.Epoch)
		r.ranges(m.Ranges)
		return err
	}
	m, err := p.Edits(wire.Edits{})
	r.edits(&m)
	return err
}

func (r reading) ranges(ranges []wire.Range) {
	for _, g := range ranges {
		r.add("livesync.range.first", g.First)
		r.add("livesync.range.last", g.Last)
	}
}

func (r reading) state(s *wire.State) {
	r.add("livesync.state.next_records", s.Next[wire.SpaceData])
	r.add("livesync.state.next_tells", s.Next[wire.SpaceTell])
	r.add("livesync.state.next_control", s.Next[wire.SpaceControl])
	r.add("livesync.state.sent", s.Sent)
	r.add("livesync.torrents", s.Torrents)
	r.add("livesync.state.peers", s.Peers)
	r.id("livesync.state.inquired", s.Inquired)
	r.add("livesync.state.challenge", s.Challenge[:])
	r.add("livesync.state.capacity", s.Capacity)
	r.add("livesync.state.catch_up_port", s.CatchUpPort)
	r.add("livesync.state.role", s.Role)
	r.add("livesync.state.health", uint8(s.Health))
	r.add("livesync.state.round", s.Round)
	r.add("livesync.state.group", s.Group)
	for _, sum := range s.Sums {
		r.add("livesync.state.sum", sum)
	}
	r.text("livesync.state.version", s.Version)
	r.text("livesync.state.url", s.URL)
	for _, e := range s.Echoes {
		r.id("livesync.state.echo.id", e.ID)
		r.add("livesync.state.echo.challenge", e.Challenge[:])
	}
}

// text adds what is for people; an empty one has no field.
func (r reading) text(field string, text []byte) {
	if len(text) > 0 {
		r.add(field, string(text))
	}
}

func (r reading) edits(m *wire.Edits) {
	for _, d := range m.Digests {
		r.add("livesync.digest.kind", d.Kind)
		r.add("livesync.digest.entries", d.Count)
		r.add("livesync.digest.sum", "0x"+fmt.Sprintf("%016x", d.Sum))
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		r.add("livesync.edit.kind", e.Kind)
		r.add("livesync.edit.op", e.Op)
		r.id("livesync.edit.id", e.Node)
		r.add("livesync.edit.time", strconv.FormatUint(e.Time, 10))
		r.add("livesync.edit.end", e.End)
		r.add("livesync.edit.key", e.Key[:])
		r.text("livesync.edit.reason", e.Reason)
	}
}
