package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"starling/wire"
)

// dumpedEdits is what an EDITS says: what changed in the lists that all nodes share, and what the sender has of them.
type dumpedEdits struct {
	Has     []dumpedDigest `json:"has"`
	Changes []dumpedEdit   `json:"changes"`
}

type dumpedDigest struct {
	Kind    uint8  `json:"kind"`
	Entries uint32 `json:"entries"`
	Sum     uint64 `json:"sum,string"`
}

type dumpedEdit struct {
	Kind   uint8      `json:"kind"`
	Op     uint8      `json:"op"`
	Key    string     `json:"key"`
	Node   string     `json:"node"`
	Time   time.Time  `json:"time"`
	End    *time.Time `json:"end,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

func dumpedEditsOf(m *wire.Edits) *dumpedEdits {
	d := &dumpedEdits{Has: []dumpedDigest{}, Changes: []dumpedEdit{}}
	for _, x := range m.Digests {
		d.Has = append(d.Has, dumpedDigest{x.Kind, x.Count, x.Sum})
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		x := dumpedEdit{
			Kind: e.Kind, Op: e.Op, Key: hex.EncodeToString(e.Key[:]), Node: e.Node.String(), Time: time.Unix(0, int64(e.Time)).UTC(), Reason: string(e.Reason),
		}
		if e.End != 0 && e.End < 1<<36 {
			end := time.Unix(int64(e.End), 0).UTC()
			x.End = &end
		}
		d.Changes = append(d.Changes, x)
	}
	return d
}

// text returns what it says, as a line has it. Reasons are quoted: whoever has no key prints what anybody sends.
func (d *dumpedEdits) text() string {
	var parts []string
	for _, x := range d.Has {
		if x.Entries > 0 {
			parts = append(parts, fmt.Sprintf("%d of kind %d", x.Entries, x.Kind))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	line := "has " + strings.Join(parts, ", ")
	for _, x := range d.Changes {
		line += fmt.Sprintf("; kind %d op %d %s", x.Kind, x.Op, x.Key)
		if x.Reason != "" {
			line += fmt.Sprintf(" %q", x.Reason)
		}
	}
	return line
}
