package main

import (
	"strconv"
	"strings"
)

// exposition is text in the Prometheus exposition format, version 0.0.4. Names follow
// its conventions: base units, the unit and then _total of a counter at the end.
//
// A metric is one line where its figures are at hand, the label names and values in turn behind the value:
//
//	e.counter("purged_peers_total", "Peers removed because their torrent was forbidden.").sample(s.Purged)
//	e.gauge("jailed_clients", "Clients in the jail, by why.").sample(3, "reason", "rate").sample(0, "reason", "early")
type exposition struct {
	b    strings.Builder
	name string // of the family that samples are added to
}

// gauge begins a family of values that go up and down.
func (e *exposition) gauge(name, help string) *exposition {
	return e.family("starling_"+name, "gauge", help)
}

// counter begins a family of values that only grow.
func (e *exposition) counter(name, help string) *exposition {
	return e.family("starling_"+name, "counter", help)
}

// family begins a family under its whole name.
func (e *exposition) family(name, kind, help string) *exposition {
	e.name = name
	e.b.WriteString("# HELP " + name + " " + helpEscapes.Replace(help) + "\n# TYPE " + name + " " + kind + "\n")
	return e
}

// What the format has escaped in a help text, and in the value of a label.
var (
	helpEscapes  = strings.NewReplacer("\\", `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`)
)

// sample adds a value to the family. labels are names and values in turn.
func (e *exposition) sample(v float64, labels ...string) *exposition { return e.part("", v, labels...) }

// part adds a value to the family under its name and a suffix, as histograms and summaries have it.
func (e *exposition) part(suffix string, v float64, labels ...string) *exposition {
	e.b.WriteString(e.name + suffix)
	for i := 0; i < len(labels); i += 2 {
		open := ","
		if i == 0 {
			open = "{"
		}
		e.b.WriteString(open + labels[i] + `="` + labelEscapes.Replace(strings.ToValidUTF8(labels[i+1], "?")) + `"`)
	}
	if len(labels) > 0 {
		e.b.WriteByte('}')
	}
	e.b.WriteString(" " + strconv.FormatFloat(v, 'f', -1, 64) + "\n")
	return e
}

// histogram adds a histogram to the family: how many values there were up to each bound, the last count those beyond all
// bounds, and the sum of all of them.
func (e *exposition) histogram(bounds []float64, counts []uint64, sum float64, labels ...string) {
	total := uint64(0)
	for i, n := range counts {
		total += n
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		e.part("_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", le)...)
	}
	e.part("_sum", sum, labels...)
	e.part("_count", float64(total), labels...)
}

// number is 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
