package main

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	ours, floor, theirs := results{}, results{}, results{wrong: 3, failed: 4, worst: "a peer twice"}
	for i := range figures {
		for _, v := range []float64{3, 1, 2} {
			ours.add(i, v)
			theirs.add(i, 2000*v)
			if i != bytesPerPeer {
				floor.add(i, v/2)
			}
		}
	}
	var b strings.Builder
	o := &options{torrents: 10, peers: 100, skew: 0.8, numWant: 74, rounds: 3, duration: time.Second}
	printTable(&b, o, contenders("/bin/starling", "/bin/bench", func(name string) string {
		return map[string]string{"OPENTRACKER": " opentracker  -p 6969 "}[name]
	}), []results{ours, floor, theirs})
	for _, want := range []string{"medians of 3 rounds of 1s", "starling   floor   ratio   opentracker   ratio\n", "resident bytes a peer       2.00       -       -          4000    0.00\n",
		"opentracker: 3 answers were wrong and 4 requests failed, for one: a peer twice"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Count(b.String(), "\n") < figures+3 {
		t.Errorf("lines are missing in\n%s", b.String())
	}
}
