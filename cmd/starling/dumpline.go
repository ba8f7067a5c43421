package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"starling/livesync/seal"
	"starling/wire"
)

// dumpFormat is how `starling dump` prints a packet.
type dumpFormat struct {
	json bool
	hex  bool          // the bytes as well
	tags *seal.Checker // nil: whether tags are right is not said
}

// dumpedPacket is a livesync packet as JSON has it. Scripts rely on its fields: they are only ever added to.
type dumpedPacket struct {
	Time     time.Time      `json:"time"`
	From     netip.AddrPort `json:"from"`
	ID       string         `json:"id,omitempty"`   // not there when the packet is too short for one
	Kind     string         `json:"kind,omitempty"` // not there when the packet cannot be read
	Error    string         `json:"error,omitempty"`
	Bytes    int            `json:"bytes"`
	Torrents *uint64        `json:"torrents,omitempty"` // of a beacon
	Target   string         `json:"target,omitempty"`   // of an inquiry
	Records  []dumpedRecord `json:"records,omitempty"`
	Tells    []dumpedTell   `json:"tells,omitempty"`
	Hex      string         `json:"hex,omitempty"`

	// Of a packet that is as long as one with a trailer.
	Epoch    uint64  `json:"epoch,string,omitempty"` // a string: more digits than some readers of JSON keep
	Sequence *uint32 `json:"sequence,omitempty"`
	Tag      string  `json:"tag,omitempty"` // right or wrong, when there is a key

	State   *dumpedState  `json:"state,omitempty"`
	Edits   *dumpedEdits  `json:"edits,omitempty"`
	Ranges  []dumpedRange `json:"ranges,omitempty"`          // of a nack, gone or promise
	About   string        `json:"about,omitempty"`           // whose packets they are
	InEpoch uint64        `json:"in_epoch,string,omitempty"` // and of which epoch
}

type dumpedRecord struct {
	InfoHash string `json:"info_hash"`
	Peer     string `json:"peer"`
	Role     string `json:"role"` // leecher, seeder, completed or stopped
}

type dumpedTell struct {
	InfoHash   string `json:"info_hash"`
	Age        uint32 `json:"age_min"`
	Downloaded uint64 `json:"downloaded"`
}

// line returns the line for a packet that came at now from a sender.
func (f dumpFormat) line(now time.Time, from netip.AddrPort, b []byte) string {
	d := dumped(now, from, b)
	if p, err := wire.ParsePacket(b); err == nil && p.Keyed && f.tags != nil {
		d.Tag = "wrong"
		if _, ok := f.tags.Check(&p); ok {
			d.Tag = "right"
		}
	}
	if f.hex {
		d.Hex = hex.EncodeToString(b)
	}
	if !f.json {
		return d.text()
	}
	line, err := json.Marshal(d)
	if err != nil {
		return err.Error() // a struct of strings and numbers has none
	}
	return string(line)
}

// dumped decodes a packet.
func dumped(now time.Time, from netip.AddrPort, b []byte) dumpedPacket {
	d := dumpedPacket{Time: now, From: from, Bytes: len(b)}
	p, err := wire.ParsePacket(b)
	if len(b) >= wire.HeaderSize {
		d.ID = wire.NodeID(b).String()
	}
	if err != nil {
		d.Error = err.Error()
		return d
	}
	d.Kind = p.Kind.String()
	if p.Keyed {
		d.Epoch, d.Sequence = p.Epoch, &p.Seq
	}
	if p.Kind.Control() {
		d.control(&p)
		return d
	}
	switch p.Kind {
	case wire.KindBeacon:
		d.Torrents = &p.Torrents
	case wire.KindInquire:
		d.Target = p.Target.String()
	case wire.KindLive4, wire.KindLive6:
		for i := range p.Len() {
			r := p.Record(i)
			d.Records = append(d.Records, dumpedRecord{r.InfoHash.String(), r.Peer.String(), r.Flags.String()})
		}
	case wire.KindTell:
		for i := range p.Len() {
			t := p.Tell(i)
			d.Tells = append(d.Tells, dumpedTell{t.InfoHash.String(), t.Age, t.Downloaded})
		}
	}
	return d
}

// text returns the packet as a line for people.
func (d *dumpedPacket) text() string {
	kind, id := d.Kind, d.ID
	if kind == "" {
		kind = "?"
	}
	if id == "" {
		id = "-"
	}
	line := fmt.Sprintf("%s  %-21s  %-8s  %-7s  %s", d.Time.Format("15:04:05.000"), d.From, id, kind, d.content())
	if d.Sequence != nil {
		line += fmt.Sprintf("  [%d of epoch %d", *d.Sequence, d.Epoch)
		if d.Tag != "" {
			line += ", tag " + d.Tag
		}
		line += "]"
	}
	if d.Hex != "" {
		line += "  " + d.Hex
	}
	return strings.TrimRight(line, " ")
}

// content returns what the packet says.
func (d *dumpedPacket) content() string {
	switch {
	case d.Error != "":
		return fmt.Sprintf("%s (%d bytes)", d.Error, d.Bytes)
	case d.Torrents != nil:
		return fmt.Sprintf("%d torrents", *d.Torrents)
	case d.State != nil:
		return d.State.text()
	case d.Edits != nil:
		return d.Edits.text()
	case d.Kind == wire.KindBye.String():
		return "ends"
	case d.InEpoch != 0:
		return d.rangesText()
	case d.Target != "":
		return "asks " + d.Target
	}
	var parts []string
	for _, r := range d.Records {
		parts = append(parts, r.InfoHash+" "+r.Peer+" "+r.Role)
	}
	for _, t := range d.Tells {
		parts = append(parts, fmt.Sprintf("%s downloaded %d, announced %d min ago", t.InfoHash, t.Downloaded, t.Age))
	}
	return strings.Join(parts, "; ")
}
