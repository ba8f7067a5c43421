package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// writeConfig returns the path of a configuration file with this text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "starling.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// resolved returns the config that serve makes of its three sources, as the program does.
func resolved(t *testing.T, environ []string, file string, args ...string) *config {
	t.Helper()
	var got *config
	app := newApp(nil, environ, nil, nil)
	app.Command("serve").Action = func(c *cli.Context) error {
		path := ""
		if file != "" {
			path = writeConfig(t, file)
		}
		var err error
		got, err = readConfig(fromFlags(c), path)
		return err
	}
	if err := app.Run(append([]string{"starling", "serve"}, args...)); err != nil {
		t.Fatal(err)
	}
	return got
}

// samples has three values for every option, each unlike the others and unlike the default.
var samples = map[string][3]string{
	"http":                {":1", ":2", "none"},
	"udp":                 {":1", "[::1]:2", "none"},
	"admin":               {"127.0.0.1:1", "localhost:2", "none"},
	"livesync-node-plain": {"10.0.0.1", "10.0.0.0/24", "10.0.0.0/8"},
	"cluster-key-file":    {"testdata/keys/one", "testdata/keys/two", "testdata/keys/three"},
	"admin-token-file":    {"testdata/tokens/one", "testdata/tokens/two", "testdata/tokens/three"},
	"admin-host":          {"one", "two.example", "three"},
	"relay":               {"nats://a", "tls://b:1", "nats://c:2"},
	"public-url":          {"http://a/announce", "https://b:1/announce", "udp://c:1"},
	"trusted-proxy":       {"10.0.0.1", "10.0.0.0/24", "fd00::/8"},
	"full-scrape":         {"127.0.0.1", "10.0.0.0/24", "::/0"},
	"interval":            {"20m", "1h", "1h30m"},
	"min-interval":        {"1m", "2m", "3m"},
	"peer-timeout":        {"1m", "2m", "3m"},
	"numwant":             {"1", "2", "3"},
	"max-numwant":         {"101", "102", "103"},
	"rate":                {"1MB/s", "2MB/s", "800KB/s"},
	"rate-sharing":        {"fair", "ring", "fair"},
	"announce-rate":       {"1000/s", "2000/s", "500/s"},
	"uplink":              {"1MB/s", "2MB/s", "800KB/s"},
	"role":                {"standby", "backup", "standby"},
	"livesync-rate":       {"1MB/s", "2MB/s", "800KB/s"},
	"one-root":            {"true", "true", "true"},
	"sibling":             {"http://b:1=http://b:2", "http://c:1/announce=http://c:2/healthz", "https://d/x/announce=http://d:2"},
	"sibling-health":      {"lazy", "opportunistic", "lazy"},
	"redirect":            {"true", "true", "true"},
	"livesync-interface":  {"lo", "none", "127.0.0.1"},
	"livesync-group":      {"224.0.23.5:9696", "239.1.2.3:4", "224.0.42.5:1"},
	"livesync-node":       {"10.0.0.1", "10.0.0.0/24", "0.0.0.0/0"},
	"livesync-flush":      {"1ms", "1s", "100ms"},
	"livesync-renew":      {"1s", "1m", "1h"},
	"livesync-dialect":    {"modern", "both", "modern"},
	"scrape-sync":         {"on", "off", "on"},
	"beacon-interval":     {"1s", "2s", "500ms"},
	"first-beacon-delay":  {"0s", "1s", "2s"},
	"inquire-threshold":   {"0%", "50", "100%"},
	"allow":               {"/a", "/b", "/c"},
	"deny":                {"/a", "/b", "/c"},
	"deny-client":         {"/a", "/b", "/c"},
	"abuse":               {"jail", "watch", "off"},
	"passkeys":            {"/a", "/b", "/c"},
	"state-dir":           {"/a", "/b", "/c"},
	"snapshot-interval":   {"1s", "1m", "1h"},
	"user":                {"daemon", "bin", "nobody"},
	"memory-limit":        {"64MiB", "1GB", "1.5GiB"},
	"tracker-id":          {"7f3a91c2", "00000001", "FFFFFFFF"},
	"log-level":           {"debug", "warn", "error"},
	"log-format":          {"json", "console", "json"},

	"https":    {":1", ":2", ":3"},
	"tls-cert": {"testdata/keys/one", "testdata/keys/two", "testdata/keys/three"},
	"tls-key":  {"testdata/keys/one", "testdata/keys/two", "testdata/keys/three"},

	"max-connections":            {"101", "102", "103"},
	"max-connections-per-client": {"101", "102", "103"},
}

// needs are the flags without which an option is refused, because it would have no effect.
var needs = map[string][]string{
	"rate-sharing":   {"--rate", "9MB/s"},
	"one-root":       {"--rate", "9MB/s"},
	"sibling-health": {"--sibling", "http://b:1=http://b:2"},
	"relay":          {"--cluster-key-file", "testdata/keys/one"},
	"redirect":       {"--rate", "9MB/s", "--sibling", "http://b:1=http://b:2"},
}

// TestPrecedence: for every option, flag beats environment beats file beats default.
func TestPrecedence(t *testing.T) {
	opts := options(new(config))
	for i := range opts {
		o := &opts[i]
		t.Run(o.name, func(t *testing.T) {
			v, ok := samples[o.name]
			if !ok {
				t.Fatal("no samples")
			}
			env := []string{envName(o.name) + "=" + v[1]}
			file := fmt.Sprintf("%s = %q\n", o.name, v[2])
			switch {
			case o.list:
				file = fmt.Sprintf("%s = [%q]\n", o.name, v[2])
			case o.boolean:
				file = fmt.Sprintf("%s = %s\n", o.name, v[2])
			}
			resolved := func(environ []string, file string, args ...string) *config {
				return resolved(t, environ, file, append(args, needs[o.name]...)...)
			}
			defaults := resolved(nil, "")
			only := [3]*config{
				resolved(nil, "", "--"+o.name+"="+v[0]),
				resolved(env, ""),
				resolved(nil, file),
			}
			for j, c := range only {
				if sameSettings(c, defaults) {
					t.Errorf("source %d changes nothing", j)
				}
			}
			if o.boolean { // there are two values only
				off := envName(o.name) + "=false"
				if !sameSettings(resolved(env, file, "--"+o.name+"=false"), defaults) || !sameSettings(resolved([]string{off}, file), defaults) ||
					!sameSettings(resolved([]string{off}, "", "--"+o.name), only[0]) {
					t.Error("off does not win, or the flag alone is not on")
				}
				return
			}
			if !sameSettings(resolved(env, file, "--"+o.name, v[0]), only[0]) {
				t.Error("the flag does not win")
			}
			if !sameSettings(resolved(env, file), only[1]) {
				t.Error("the environment does not beat the file")
			}
		})
	}
}

// sameSettings compares configs without the places they were set at.
func sameSettings(a, b *config) bool {
	x, y := *a, *b
	x.path, y.path = "", ""
	x.given, y.given = nil, nil
	return reflect.DeepEqual(x, y)
}

func TestDefaults(t *testing.T) {
	c := resolved(t, nil, "")
	if !slices.Equal(c.http, []string{":6969"}) || !slices.Equal(c.udp, []string{":6969"}) || !slices.Equal(c.admin, []string{"127.0.0.1:6970"}) {
		t.Errorf("listens on %v %v %v", c.http, c.udp, c.admin)
	}
	if c.interval != 30*time.Minute || c.minInterval != 15*time.Minute || c.peerTimeout != 45*time.Minute || c.numWant != 50 || c.maxNumWant != 200 {
		t.Errorf("tells clients %+v", c)
	}
	if c.iface != "auto" || c.group.String() != "224.0.42.5:9696" || c.flush != 250*time.Millisecond || c.renew != 10*time.Minute || c.dialect.String() != "seed" {
		t.Errorf("live sync %+v", c)
	}
	if c.beaconInterval != time.Minute || c.firstBeaconDelay != 30*time.Minute || c.inquireThreshold != 25 || c.scrapeSync.String() != "auto" {
		t.Errorf("scrape sync %+v", c)
	}
}

// TestLists: a list is repeated or written with commas, and replaces the list of a weaker source.
func TestLists(t *testing.T) {
	want := []string{":1", "[::1]:2", ":3"}
	for name, c := range map[string]*config{
		"flags":       resolved(t, []string{"STARLING_HTTP=:9"}, `http = [":8"]`, "--http", ":1,[::1]:2", "--http=:3"),
		"environment": resolved(t, []string{"STARLING_HTTP=:1, [::1]:2,:3"}, `http = [":8"]`),
		"file":        resolved(t, nil, `http = [":1", "[::1]:2", ":3"]`),
	} {
		if !slices.Equal(c.http, want) {
			t.Errorf("%s: got %q, want %q", name, c.http, want)
		}
	}
}

// TestDefaultsGiveWay: a default that contradicts what was asked for gives way; what was asked for twice is an error.
func TestDefaultsGiveWay(t *testing.T) {
	if c := resolved(t, nil, "", "--interval", "1m"); c.minInterval != time.Minute {
		t.Errorf("min-interval is %s, want the interval, 1m", c.minInterval)
	}
	if c := resolved(t, nil, "max-numwant = 20"); c.numWant != 20 {
		t.Errorf("numwant is %d, want max-numwant, 20", c.numWant)
	}
	invoke(t, nil, silent("--interval", "1m", "--min-interval", "2m")...).wantUsageError(t, "--min-interval", "2m", "1m")
	invoke(t, []string{"STARLING_NUMWANT=201"}, silent()...).wantUsageError(t, "STARLING_NUMWANT", "201", "200")
	file := writeConfig(t, `min-interval = "31m"`)
	invoke(t, nil, silent("--config", file)...).wantUsageError(t, file, "min-interval", "31m", "30m")
}

// TestEnvironment: what is wrong with a variable is said under its name, whichever command runs.
func TestEnvironment(t *testing.T) {
	for env, words := range map[string][]string{
		"STARLING_INTERVALL=30m":  {"STARLING_INTERVALL", "did you mean STARLING_INTERVAL?"},
		"STARLING_INTERVAL=":      {"STARLING_INTERVAL", "empty"},
		"STARLING_=1":             {"STARLING_"},
		"STARLING_NO_SUCH_FLAG=1": {"STARLING_NO_SUCH_FLAG"},
	} {
		invoke(t, []string{env}, silent()...).wantUsageError(t, words...)
		invoke(t, []string{env}, "status").wantUsageError(t, words...)
	}
	invoke(t, []string{"STARLING_N=many"}, "cluster").wantUsageError(t, "STARLING_N", `"many"`)
	invoke(t, []string{"STARLING_CONFIG=/nonexistent/file"}, silent()...).wantUsageError(t, "/nonexistent/file")
	if r := invoke(t, []string{"STARLING_RATE=1MB/s"}, silent()...); strings.Contains(r.stderr, "did you mean") {
		t.Errorf("the prefix alone makes nothing alike: %s", r.stderr)
	}
	foreign := []string{
		"STARLING_REQUIRE=all", "STARLING_SERVICE_HOST=10.0.0.1", "STARLING_PORT_6969_TCP=tcp://10.0.0.1:6969", "PATH=/bin", "starling_interval=x",
	}
	if r := invoke(t, foreign, silent()...); r != (result{}) {
		t.Errorf("variables of others: %+v", r)
	}
}

// TestEnvironmentForAll: flags of the library's own types take their variables too, and the command line wins.
func TestEnvironmentForAll(t *testing.T) {
	environ := []string{"STARLING_N=5", "STARLING_PORT=7000", "STARLING_JSON=true"}
	var nodes, port int
	app := newApp(nil, environ, nil, nil)
	app.Command("cluster").Action = func(c *cli.Context) error {
		nodes, port = c.Int("n"), c.Int("port")
		return nil
	}
	if err := app.Run([]string{"starling", "cluster", "-n", "4"}); err != nil {
		t.Fatal(err)
	}
	if nodes != 4 || port != 7000 {
		t.Errorf("%d nodes from port %d, want 4 from 7000", nodes, port)
	}
}

func TestFile(t *testing.T) {
	c := resolved(t, nil, `
# A comment.
http = [":1"]
"peer-timeout" = "1h"
numwant = 7
inquire-threshold = 50
`)
	if !slices.Equal(c.http, []string{":1"}) || c.peerTimeout != time.Hour || c.numWant != 7 || c.inquireThreshold != 50 {
		t.Errorf("got %+v", c)
	}
}

func TestBadFile(t *testing.T) {
	for text, words := range map[string][]string{
		`intervall = "30m"`:             {"unknown key intervall", "did you mean interval?"},
		`config = "other.toml"`:         {"unknown key config"},
		`htps = [":443"]`:               {"unknown key htps"},
		`redirect = "yes"`:              {"key redirect", "yes"},
		`one-root = 1`:                  {"key one-root", "one-root = true"},
		`rate = 1000000`:                {"key rate", `rate = "RATE"`},
		"interval = \"30m\"\nfoo.bar=1": {"unknown key foo"},
		"[interval]\nx = 1":             {"key interval", `interval = "30m"`},
		`interval = 30`:                 {"key interval", `interval = "30m"`},
		`interval = ["30m"]`:            {"key interval", `interval = "30m"`},
		`interval = ""`:                 {"key interval", "empty"},
		`interval = "soon"`:             {"key interval", `"soon"`},
		`http = ":6969"`:                {"key http", `http = [":6969"]`},
		`http = []`:                     {"key http", "empty"},
		`http = [":6969", 80]`:          {"key http", "element 2"},
		`trusted-proxy = [""]`:          {"key trusted-proxy", "empty"},
		`numwant = 1.5`:                 {"key numwant", "numwant = 50"},
		`numwant = true`:                {"key numwant", "numwant = 50"},
		`numwant = 0`:                   {"key numwant", "0"},
		"interval = 30m":                {"line 1"},
		"\n\ninterval = \"30m":          {"line 3"},
		"numwant = 1\nnumwant = 2":      {"line 2", "numwant"},
		"\xff":                          {"line 1"},
	} {
		t.Run(text, func(t *testing.T) {
			path := writeConfig(t, text)
			invoke(t, nil, silent("--config", path)...).wantUsageError(t, append(words, path)...)
		})
	}
	for _, path := range []string{"/nonexistent/file", t.TempDir(), "/dev/zero", "http://127.0.0.1/starling.toml"} {
		invoke(t, nil, silent("--config", path)...).wantUsageError(t, "config file", path)
	}
	invoke(t, nil, silent("--config", "")...).wantUsageError(t, "config file")
	long := writeConfig(t, strings.Repeat("#", maxConfigFile+1))
	invoke(t, nil, silent("--config", long)...).wantUsageError(t, long)
}

func FuzzReadFile(f *testing.F) {
	f.Add("interval = \"30m\"\nhttp = [\":6969\"]")
	f.Add("numwant = 1\n[a.b]\nc = [[1, 2], {d = 1979-05-27}]")
	f.Add("announce-rate = \"9/s\"\nredirect = true\n[[class]]\nname = \"a\"\nrate = \"9%\"\nmatch = [{event = [\"started\"]}]")
	f.Fuzz(func(t *testing.T, text string) {
		f, err := parseFile("FILE", text, options(new(config)))
		if err != nil {
			return
		}
		if c, err := resolve(fromMap(f.settings)); err == nil && c.check() != nil {
			t.Error("checked settings do not check")
		}
	})
}
