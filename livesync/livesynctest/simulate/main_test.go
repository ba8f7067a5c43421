package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"-seeds 4 -mode plain", 0, "plain         4        0"},
		{"-seed 3 -mode plain", 0, "seed 3, plain"},
		{"-seed 3 -mode plain -trace", 0, "node 0 started as"},
		{"-seed 3 -mode keyed", 0, "seed 3, keyed"},
		{"-seeds 2 -mode mixed", 0, "mixed         2        0"},
		{"-seeds 4", 0, "keyed         2        0"},
		{"-seeds 4 -mode plain -without noise,crash", 0, "plain         4        0"},
		{"-without rain", 2, "is none of announce, noise"},
		{"-seed 3", 2, "-mode is"},
		{"-mode odd", 2, "-mode is"},
		{"more", 2, "no arguments"},
		{"-odd", 2, "scripts/simulate -seeds 1000"},
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(c.args), &out, &out); code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %d, %s", c.args, code, out.String())
		}
	}
}
