package doctor

import (
	"fmt"
	"strings"
)

// Verdict is how bad a finding is.
type Verdict string

// The verdicts. With one that is bad the cluster does not work, or will not for long.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Bad  Verdict = "bad"
)

// A Finding is one line: what was looked at, what was found, and what to do unless it is well.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Do      string  `json:"do,omitempty"`
}

// Findings judges a snapshot.
func Findings(s *Snapshot) []Finding {
	var all []Finding
	for _, check := range []func(*Snapshot) []Finding{
		node, network, membership, heard, querier, clock, receiveBuffer, files, ports, firewall, conntrack, memory,
	} {
		all = append(all, check(s)...)
	}
	return all
}

// Sick reports whether one of them is bad.
func Sick(all []Finding) bool {
	for _, f := range all {
		if f.Verdict == Bad {
			return true
		}
	}
	return false
}

// Text returns the findings for people.
func Text(all []Finding) string {
	var b strings.Builder
	counts := make(map[Verdict]int)
	for _, f := range all {
		counts[f.Verdict]++
		fmt.Fprintf(&b, "%-5s %-10s %s\n", f.Verdict, f.Check, f.Found)
		if f.Do != "" {
			fmt.Fprintf(&b, "%16s -> %s\n", "", f.Do)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d to look at, %d bad\n", counts[OK], counts[Warn], counts[Bad])
	return b.String()
}

func ok(check, format string, args ...any) []Finding {
	return []Finding{{check, OK, fmt.Sprintf(format, args...), ""}}
}

func warn(check, do, format string, args ...any) []Finding {
	return []Finding{{check, Warn, fmt.Sprintf(format, args...), do}}
}

func bad(check, do, format string, args ...any) []Finding {
	return []Finding{{check, Bad, fmt.Sprintf(format, args...), do}}
}
