package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// result is what the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// invoke runs the program in this process, with a context that has ended already: what
// is served ends at once, and everything before it has happened.
func invoke(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, append([]string{"starling"}, args...), environ, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// wantUsageError fails the test unless the program ended with exit code 2 and one line that holds all of words.
func (r result) wantUsageError(t *testing.T, words ...string) {
	t.Helper()
	if r.code != exitUsage {
		t.Errorf("exit code %d, want %d", r.code, exitUsage)
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasSuffix(r.stderr, "\n") {
		t.Errorf("not one line on stderr: %q", r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("stderr %q does not hold %q", r.stderr, w)
		}
	}
}

// silent are the flags with which serve opens no socket.
func silent(args ...string) []string {
	return append([]string{"serve", "--http", "none", "--udp", "none", "--admin", "none", "--livesync-interface", "none", "--log-level", "error"}, args...)
}

func TestServeEndsWell(t *testing.T) {
	if r := invoke(t, nil, silent()...); r != (result{}) {
		t.Errorf("got %+v, want exit code 0 and no output", r)
	}
}

func TestCommandLineErrors(t *testing.T) {
	tests := []struct {
		args  string
		words []string
	}{
		{"serv", []string{`"serv"`, "did you mean serve?"}},
		{"tracker", []string{`"tracker"`, "--help"}},
		{"--bogus", []string{"--bogus"}},
		{"help serv", []string{`"serv"`, "did you mean serve?"}},
		{"serve --bogus", []string{"--bogus", "serve --help"}},
		{"serve --intervall 30m", []string{"--intervall", "did you mean --interval?"}},
		{"serve --interval", []string{"--interval", "missing"}},
		{"serve now", []string{`"now"`}},
		{"serve --http none -- now", []string{`"now"`}},
		{"serve --interval 30m --interval 20m", []string{"--interval", "2 times"}},
		{"serve --config a --config b", []string{"--config", "2 times"}},
		{"status --json=7", []string{"--json", `"7"`}},
		{"status --admin none", []string{"--admin"}},
		{"status --admin here", []string{"--admin", `"here"`}},
		{"cluster -n 0", []string{"-n", "0"}},
		{"cluster -n 65", []string{"-n", "65"}},
		{"cluster -n three", []string{"-n", `"three"`}},
		{"cluster -n 3 --port 65531", []string{"--port", "65531", "65530"}},
		{"cluster --livesync-group 10.0.0.1:9", []string{"--livesync-group", "10.0.0.1"}},
		{"cluster --log-level loud", []string{"--log-level", `"loud"`}},
		{"completion", []string{"bash", "zsh"}},
		{"completion tcsh", []string{"bash", "zsh"}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			r := invoke(t, nil, strings.Fields(tt.args)...)
			r.wantUsageError(t, tt.words...)
			if r.stdout != "" {
				t.Errorf("stdout %q, want nothing", r.stdout)
			}
		})
	}
}

// TestHelp: every command explains itself within 80 columns and shows an example.
func TestHelp(t *testing.T) {
	app := newApp(nil, nil, nil, nil)
	for _, cmd := range app.Commands {
		t.Run(cmd.Name, func(t *testing.T) {
			long := invoke(t, nil, cmd.Name, "--help")
			if other := invoke(t, nil, "help", cmd.Name); other != long && cmd.Name != "help" {
				t.Errorf("help %s and %s --help differ", cmd.Name, cmd.Name)
			}
			if long.code != exitOK || long.stderr != "" {
				t.Errorf("exit code %d, stderr %q", long.code, long.stderr)
			}
			if cmd.Name != "help" && !strings.Contains(long.stdout, "\n   starling "+cmd.Name) && !strings.Contains(long.stdout, "(starling "+cmd.Name) {
				t.Errorf("no example:\n%s", long.stdout)
			}
			for line := range strings.Lines(long.stdout) {
				if len(line) > helpWidth+1 {
					t.Errorf("%d columns: %s", len(line)-1, line)
				}
			}
			for _, f := range cmd.Flags {
				if f != cli.HelpFlag && !strings.Contains(long.stdout, "\n   "+dashed(f.Names()[0])) {
					t.Errorf("%s is not explained", dashed(f.Names()[0]))
				}
			}
		})
	}
	all := invoke(t, nil)
	if all != invoke(t, nil, "--help") || all != invoke(t, nil, "help") || all.code != exitOK {
		t.Error("starling, starling --help and starling help differ")
	}
	for _, cmd := range app.Commands {
		if !cmd.Hidden && !strings.Contains(all.stdout, "\n   "+cmd.Name+" ") {
			t.Errorf("%s is not listed", cmd.Name)
		}
	}
}

// TestHelpWins: --help explains whatever else stands on the command line.
func TestHelpWins(t *testing.T) {
	want := invoke(t, nil, "serve", "--help")
	for _, args := range []string{"serve --interval 5m --help", "serve now -h", "serve --help now"} {
		if got := invoke(t, []string{"STARLING_NONSENSE=1"}, strings.Fields(args)...); got != want {
			t.Errorf("starling %s: %+v", args, got)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	r := invoke(t, nil, "--version")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "starling version ") || strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("got %+v", r)
	}
}

// inTime runs the program in this process until it ends by itself.
func inTime(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"starling"}, args...), nil, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}
