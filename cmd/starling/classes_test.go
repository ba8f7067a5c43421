package main

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"starling/tracker/pacer"
)

// someClasses is a file with all that a class can have.
const someClasses = `announce-rate = "2000/s"

[[class]]
name = "event"
rate = "30%"
ceil = "100%"
match = {event = ["started", "completed", "stopped"]}

[[class]]
name = "office"
parent = "event"
rate = "100/s"
ceil = "150/s"
burst = 3
priority = 1
wait = "1s"
scheduler = "fifo"
[[class.match]]
network = ["10.0.0.0/8", "fd00::1"]
client = ["-UT"]
[[class.match]]
path = ["/announce"]
event = ["regular"]

[[class]]
name = "rest"
rate = "20%"
match = [{event = ["regular", "scrape"]}, {event = ["bulk"]}]
`

func TestClasses(t *testing.T) {
	want := []pacer.Class{
		{Name: "event", Rate: pacer.Percent(30), Ceil: pacer.Percent(100), Wait: 2 * time.Second,
			Match: []pacer.Match{{Kinds: []pacer.Kind{pacer.Started, pacer.Completed, pacer.Stopped}}}},
		{Name: "office", Parent: "event", Rate: pacer.Tokens(100), Ceil: pacer.Tokens(150), Burst: 3, Priority: 1, Wait: time.Second, Scheduler: pacer.FIFO,
			Match: []pacer.Match{
				{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128")}, ClientIDs: []string{"-UT"}},
				{Kinds: []pacer.Kind{pacer.Regular}, Paths: []string{"/announce"}},
			}},
		{Name: "rest", Rate: pacer.Percent(20), Wait: 2 * time.Second,
			Match: []pacer.Match{{Kinds: []pacer.Kind{pacer.Regular, pacer.Scrape}}, {Kinds: []pacer.Kind{pacer.Bulk}}}},
	}
	if got := resolved(t, nil, someClasses).classes.list; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// goodClasses is a file whose classes are in order, for others to spoil.
const goodClasses = `announce-rate = "1000/s"
[[class]]
name = "first"
rate = "60%"
ceil = "100%"
match = {event = ["started", "completed", "stopped"]}
[[class]]
name = "other"
rate = "400/s"
match = {event = ["regular", "scrape", "bulk"]}
`

// TestBadClasses: whatever is wrong with classes ends the start with one line that names the file, the class, and the
// key or the numbers.
func TestBadClasses(t *testing.T) {
	if r := invoke(t, nil, silent("--config", writeConfig(t, goodClasses))...); r != (result{}) {
		t.Fatalf("good classes: %+v", r)
	}
	for _, tt := range []struct{ old, new, words string }{
		{`rate = "60%"`, `rate = "61%"`, "1010 1000 first 610 other 400"},
		{`rate = "60%"`, `rate = "60%"` + "\nburst = 1000", "bursts 1000 first"},
		{`rate = "60%"`, `rate = "0%"`, `"first" rate "0%"`},
		{`rate = "60%"`, `rate = "-5/s"`, `"first" rate "-5/s"`},
		{`rate = "60%"`, `rate = "0/s"`, `"first" rate "0/s"`},
		{`rate = "60%"`, `rate = "600"`, `"first" rate "600"`},
		{`rate = "60%"`, `rate = 60`, `"first" rate string`},
		{`rate = "60%"`, ``, `"first" rate`},
		{`rate = "60%"`, `rate = "1KB/s"`, `"first" bytes announce-rate`},
		{`ceil = "100%"`, `ceil = "101%"`, `"first" ceil "101%"`},
		{`ceil = "100%"`, `ceil = "50%"`, `"first" ceiling 500 600`},
		{`ceil = "100%"`, `ceil = "1001/s"`, `"first" 1001 1000`},
		{`ceil = "100%"`, `priority = -1`, `"first" priority -1`},
		{`ceil = "100%"`, `priority = "high"`, `"first" priority`},
		{`ceil = "100%"`, `burst = -1`, `"first" burst -1`},
		{`ceil = "100%"`, `wait = "2h"`, `"first" wait 2h`},
		{`ceil = "100%"`, `wait = "soon"`, `"first" wait "soon"`},
		{`ceil = "100%"`, `scheduler = "fair"`, `"first" "fair" drr`},
		{`ceil = "100%"`, `scheduler = ""`, `"first" scheduler empty`},
		{`ceil = "100%"`, `ceiling = "100%"`, `"first" ceiling`},
		{`ceil = "100%"`, `parent = "none"`, `"first" "none"`},
		{`name = "other"`, `name = "first"`, `"first" two`},
		{`name = "other"`, ``, "number 2 name"},
		{`name = "other"`, `name = 7`, "number 2 name"},
		{`name = "other"`, `name = "oth\u001ber"`, "name letter"},
		{`name = "other"`, `name = "oth\"er"`, "name letter"},
		{`name = "other"`, `name = "` + strings.Repeat("x", 100_000) + `"`, "name 40"},
		{`announce-rate = "1000/s"`, `announce-rate = "1152921504606846976/s"`, "1152921504606846976 1125899906842624"},
		{`rate = "60%"`, `rate = "1152921504606846976/s"`, `"first" 1152921504606846976`},
		{`rate = "60%"`, "rate = \"60%\"\nburst = 9223372036854775807", `"first" amount`},
		{`name = "other"`, "name = \"other\"\nparent = \"first\"", `"first" match`},
		{`"bulk"`, `"bulky"`, `"other" "bulky"`},
		{`, "bulk"`, ``, "every bulk"},
		{`{event = ["regular", "scrape", "bulk"]}`, `{}`, `"other" empty`},
		{`{event = ["regular", "scrape", "bulk"]}`, `"all"`, `"other" match`},
		{`{event = ["regular", "scrape", "bulk"]}`, `[1]`, `"other" match`},
		{`"bulk"]}`, `"bulk"], events = []}`, `"other" events event?`},
		{`"bulk"]}`, `"bulk"], path = "/announce"}`, `"other" path array`},
		{`"bulk"]}`, `"bulk"], path = [""]}`, `"other" empty`},
		{`"bulk"]}`, `"bulk"], network = ["10.0.0.0/33"]}`, `"other" network 10.0.0.0/33`},
		{`"bulk"]}`, `"bulk"], client = [1]}`, `"other" client 1`},
		{`announce-rate = "1000/s"`, `uplink = "1MB/s"`, `"other" requests uplink`},
		{`announce-rate = "1000/s"`, ``, "announce-rate"},
		{goodClasses, "rate = \"1MB/s\"\nclass = 7", "[[class]]"},
		{goodClasses, "rate = \"1MB/s\"\nclass = []", "[[class]]"},
		{goodClasses, "rate = \"1MB/s\"\n[class]\nname = \"x\"", "[[class]]"},
	} {
		t.Run(tt.new, func(t *testing.T) {
			text := strings.Replace(goodClasses, tt.old, tt.new, 1)
			if text == goodClasses {
				t.Fatal("nothing is spoilt")
			}
			path := writeConfig(t, text)
			invoke(t, nil, silent("--config", path)...).wantUsageError(t, append(strings.Fields(tt.words), path)...)
		})
	}
}

// TestWithoutEffect: what would have no effect alone is refused by its name, wherever it stands.
func TestWithoutEffect(t *testing.T) {
	sibling := []string{"--sibling", "http://10.0.0.2=http://10.0.0.2:1"}
	for name, tt := range map[string]struct {
		args []string
		word string
	}{
		"rate-sharing":   {[]string{"--rate-sharing", "ring"}, "rate"},
		"one-root":       {[]string{"--one-root"}, "rate"},
		"uplink":         {[]string{"--uplink", "1MB/s", "--scrape-sync", "off"}, "scrape-sync"},
		"redirect":       {[]string{"--redirect", "--rate", "1MB/s"}, "sibling"},
		"sibling-health": {[]string{"--sibling-health", "lazy"}, "sibling"},
	} {
		invoke(t, nil, silent(tt.args...)...).wantUsageError(t, "--"+name, tt.word)
	}
	invoke(t, nil, silent(append(sibling, "--redirect")...)...).wantUsageError(t, "--redirect", "rate")
	invoke(t, nil, silent("--one-root", "--rate", "1MB/s", "--livesync-rate", "1MB/s")...).wantUsageError(t, "--one-root", "livesync-rate")
	invoke(t, nil, silent("--livesync-rate", "3B/s")...).wantUsageError(t, "--livesync-rate", "control", "0")
	invoke(t, nil, silent("--rate", "3B/s")...).wantUsageError(t, "--rate", "event", "0")
	invoke(t, []string{"STARLING_ONE_ROOT=true"}, silent()...).wantUsageError(t, "STARLING_ONE_ROOT", "rate")
	if r := invoke(t, nil, silent("--role", "standby")...); r != (result{}) {
		t.Errorf("a role alone: %+v", r)
	}
	if r := invoke(t, nil, silent(sibling...)...); r != (result{}) {
		t.Errorf("a sibling alone: %+v", r)
	}
}
