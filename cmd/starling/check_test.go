package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestCheckSaysEverything: every error there is has a line of its own, with where it stands.
func TestCheckSaysEverything(t *testing.T) {
	path := writeConfig(t, `# a comment
interval = "soon"
nonsense = 1
"numwant" = 5000
http = ["nowhere"]
state-dir = "/nonexistent/state"
livesync-interface = "no-such-interface0"

[[class]]
name = "x"
numwant = 3
`)
	r := invoke(t, []string{"STARLING_DENY=/nonexistent/list"}, "check", "--config", path, "--min-interval", "1y")
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if r.code != exitUsage || r.stdout != "" {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{
		path + ", line 2: key interval: ", path + ", line 3: unknown key nonsense", path + ", line 4: key numwant: 5000", path + ", line 5: key http: ",
		path + ", line 6: key state-dir: ", path + ", line 7: key livesync-interface: ", `class "x": unknown key numwant`, "--min-interval: ", "STARLING_DENY: ",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("no line has %q:\n%s", want, r.stderr)
		}
	}
	if len(lines) != 9 {
		t.Errorf("%d lines:\n%s", len(lines), r.stderr)
	}
}

// TestCheckTogether: what is right by itself and wrong together is said, too.
func TestCheckTogether(t *testing.T) {
	args := []string{"check", "--livesync-interface", "none", "--min-interval", "2h", "--one-root", "--redirect"}
	r := invoke(t, nil, args...)
	if r.code != exitUsage || strings.Count(r.stderr, "\n") != 4 {
		t.Errorf("%+v", r)
	}
	invoke(t, nil, "check", "--rate", "1MB/s", "--livesync-interface", "none", "--config", writeConfig(t, strings.Replace(goodClasses, "60%", "61%", 1))).
		wantUsageError(t, "classes")
	invoke(t, nil, "check", "--config", writeConfig(t, "interval = ")).wantUsageError(t, "line 1")
	invoke(t, nil, "check", "--config", filepath.Join(t.TempDir(), "none")).wantUsageError(t, "none")
	invoke(t, nil, "check", "--livesync-interface", "none", "--http", "192.0.2.77:6969").wantUsageError(t, "--http: 192.0.2.77:6969", "does not have")
}

// TestCheckOK: a configuration that is right is said to be, with what is served and what is odd.
func TestCheckOK(t *testing.T) {
	r := invoke(t, nil, "check", "--livesync-interface", "none", "--udp", "none", "--admin", ":6970", "--snapshot-interval", "1m", "--memory-limit", "999999GiB")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "ok\n") || !regexp.MustCompile(`(?m)^http +:6969$`).MatchString(r.stdout) || !regexp.MustCompile(`(?m)^udp +off$`).MatchString(r.stdout) {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"--admin: other hosts reach :6970", "--snapshot-interval has no effect", "--memory-limit: "} {
		if !strings.Contains(r.stderr, "warning: "+want) {
			t.Errorf("no %q in %s", want, r.stderr)
		}
	}
}

// TestConfigIsTheDefaults: what `config` prints changes nothing as it is, and nothing either when every key that has a default is put in force.
func TestConfigIsTheDefaults(t *testing.T) {
	text := invoke(t, nil, "config").stdout
	defaults, err := resolve()
	if err != nil {
		t.Fatal(err)
	}
	opts := options(new(config))
	f, faults := parseFile("FILE", text, opts)
	if len(faults) > 0 || len(f.settings) > 0 || len(f.classes.list) > 0 {
		t.Fatalf("%v, %v", faults, f)
	}
	settings, _, _ := strings.Cut(text, "\n#[[class]]")
	f, faults = parseFile("FILE", uncommented(settings), opts)
	if len(faults) > 0 || len(f.settings) != len(opts) {
		t.Fatalf("%d of %d keys, %v", len(f.settings), len(opts), faults)
	}
	for i := range opts {
		o := &opts[i]
		if o.def != "" && !slices.Equal(f.settings[o.name].values, []string{o.def}) {
			t.Errorf("%s: %q, default %q", o.name, f.settings[o.name].values, o.def)
		}
		if o.def == "" {
			delete(f.settings, o.name)
		}
		if plain := strings.Join(strings.Fields(strings.ReplaceAll(text, "\n# ", " ")), " "); !strings.Contains(plain, strings.ReplaceAll(o.usage, "`", "")) {
			t.Errorf("%s is not explained", o.name)
		}
	}
	delete(f.settings, "rate-sharing") // refused where nothing is shared
	delete(f.settings, "sibling-health")
	is, err := resolve(fromMap(f.settings))
	if err != nil || is.interval != defaults.interval || is.numWant != defaults.numWant || is.group != defaults.group || !slices.Equal(is.http, defaults.http) {
		t.Errorf("not the defaults: %v", err)
	}
}

// TestConfigClasses: the classes that `config` shows are good ones.
func TestConfigClasses(t *testing.T) {
	text := invoke(t, nil, "config").stdout
	_, classes, found := strings.Cut(text, "\n#[[class]]")
	classes = strings.Replace(uncommented("#[[class]]"+classes), `parent = "NAME"`, "", 1)
	f, faults := parseFile("FILE", "announce-rate = \"2000/s\"\n"+classes, options(new(config)))
	if !found || len(faults) > 0 || len(f.classes.list) != 2 {
		t.Fatalf("%v", faults)
	}
	cfg, err := resolve(fromMap(f.settings))
	if err != nil {
		t.Fatal(err)
	}
	cfg.classes = f.classes
	if _, err := newSteering(cfg, zerolog.Nop(), nil, time.Now()); err != nil {
		t.Error(err)
	}
}

// uncommented takes the mark off every line that is a key or the head of a table.
func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(text, "$1")
}
