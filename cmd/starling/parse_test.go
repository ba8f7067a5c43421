package main

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFlagsFirst(t *testing.T) {
	app := newApp(nil, nil, nil, nil)
	for _, tt := range []struct{ in, want string }{
		{"starling", "starling"},
		{"starling --version", "starling --version"},
		{"starling nonsense a --b", "starling nonsense a --b"},
		{"starling status --json", "starling status --json"},
		{"starling status x --json y", "starling status --json -- x y"},
		{"starling status x --admin y --json", "starling status --admin y --json -- x"},
		{"starling status x --admin=y z", "starling status --admin=y -- x z"},
		{"starling status x -- --json", "starling status -- x --json"},
		{"starling status x --admin", "starling status --admin"},
		{"starling status x --help --json", "starling status --help"},
		{"starling status - --json", "starling status --json -- -"},
		{"starling status x --nonsense y", "starling status --nonsense -- x y"},
		{"starling cluster x -n 4", "starling cluster -n 4 -- x"},
		{"starling status x --j " + completionFlag, "starling status x --j " + completionFlag},
	} {
		got := flagsFirst(app.Commands, strings.Fields(tt.in))
		if !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: got %q, want %s", tt.in, got, tt.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"interval", "min-interval", "http", "udp"}
	for word, want := range map[string]string{
		"intervall":    "interval",
		"intreval":     "interval",
		"min_interval": "min-interval",
		"htp":          "http",
		"":             "",
		"rate":         "",
		"something":    "",
	} {
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		if got := didYouMean("", word, slices.Values(known)); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// TestEditDistance checks the laws of a distance on random words.
func TestEditDistance(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	word := func() string {
		b := make([]byte, rng.IntN(8))
		for i := range b {
			b[i] = "abc"[rng.IntN(3)]
		}
		return string(b)
	}
	for range 2000 {
		a, b, c := word(), word(), word()
		ab := editDistance(a, b)
		switch {
		case ab != editDistance(b, a),
			(ab == 0) != (a == b),
			ab > max(len(a), len(b)),
			ab < len(a)-len(b),
			ab > editDistance(a, c)+editDistance(c, b),
			editDistance(a, a+c) != len(c):
			t.Fatalf("seed %d: %q %q %q: %d", seed, a, b, c, ab)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		20 * time.Minute: "20m", 10 * time.Hour: "10h", time.Hour + time.Second: "1h0m1s", 250 * time.Millisecond: "250ms",
	} {
		if got := short(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for s, want := range map[string]string{
		"10.0.0.2": "10.0.0.2/32", "10.0.0.2/24": "10.0.0.0/24", "::1": "::1/128", "fd00::1/8": "fd00::/8", "::ffff:10.0.0.2": "10.0.0.2/32", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if got, err := parsePrefix(s); err != nil || got != netip.MustParsePrefix(want) {
			t.Errorf("%s: got %s, %v, want %s", s, got, err, want)
		}
	}
}

// FuzzFlagsFirst: arguments are moved, never lost or made up, unless only the flags count.
func FuzzFlagsFirst(f *testing.F) {
	f.Add("x --json y --admin z")
	f.Add("- -- --json")
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Fields(line)
		flags, others := split(statusCommand().Flags, in)
		got := slices.Sorted(slices.Values(slices.Concat(flags, others)))
		want := slices.Clone(in)
		if i := slices.Index(want, "--"); i >= 0 && len(got) < len(want) {
			want = slices.Delete(want, i, i+1)
		}
		slices.Sort(want)
		helped := len(flags) == 1 && (flags[0] == "--help" || flags[0] == "-h")
		missing := len(flags) > 0 && takesValue(statusCommand().Flags, flags[len(flags)-1]) && flags[len(flags)-1] == in[len(in)-1]
		if !slices.Equal(got, want) && !helped && !missing {
			t.Errorf("%q became %q and %q", in, flags, others)
		}
	})
}
