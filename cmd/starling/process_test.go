package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asStarling makes this test binary behave as the program, so that tests can
// start it as a process of its own without building it first.
const asStarling = "TEST_BINARY_IS_STARLING"

// noRaceSleep saves each such process the second for which the race detector sleeps at the end.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if os.Getenv(asStarling) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program returns a command that runs the program with these arguments.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asStarling+"=1", noRaceSleep)
	return cmd
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

// servingLine is the log line with which serve says what it serves.
type servingLine struct {
	Message   string   `json:"message"`
	TrackerID string   `json:"tracker_id"`
	HTTP      []string `json:"http"`
	UDP       []string `json:"udp"`
	Admin     string   `json:"admin"`
}

// awaitServing reads the log up to that line.
func awaitServing(t *testing.T, log *bufio.Reader) servingLine {
	t.Helper()
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ended with %q: %v", line, err)
		}
		var s servingLine
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("the log is not JSON: %q: %v", line, err)
		}
		if s.Message == "serving" {
			return s
		}
	}
}

// startProgram starts a command and returns its log.
func startProgram(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(stderr)
}

// TestSignals: SIGINT and SIGTERM end serve and cluster with exit code 0.
func TestSignals(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--livesync-interface", "none")
			log := startProgram(t, cmd)
			awaitServing(t, log)
			cmd.Process.Signal(signal)
			var rest bytes.Buffer
			rest.ReadFrom(log)
			if code := exitCode(t, cmd.Wait()); code != exitOK || !strings.Contains(rest.String(), `"message":"ended"`) {
				t.Errorf("exit code %d, log %s", code, &rest)
			}
		})
	}
}

// TestExitCode: a usage error reaches the shell as 2, a failure as 1.
func TestExitCode(t *testing.T) {
	for args, want := range map[string]int{
		"serve --interval never":         exitUsage,
		"status --admin 127.0.0.1:1":     exitFailure,
		"help serve":                     exitOK,
		"serve --config /nonexistent --": exitUsage,
	} {
		var stderr bytes.Buffer
		cmd := program(t, strings.Fields(args)...)
		cmd.Stderr = &stderr
		if code := exitCode(t, cmd.Run()); code != want || strings.Count(stderr.String(), "\n") != min(want, 1) {
			t.Errorf("%s: exit code %d, want %d; stderr %q", args, code, want, &stderr)
		}
	}
}

// TestBashCompletion loads the script into a real bash and asks it as readline does.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed; apt-get install bash")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "starling")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"starling s":                           "serve status scrape",
		"starling cl":                          "cluster",
		"starling serve --livesync-d":          "--livesync-dialect",
		"starling serve --livesync-dialect ":   "seed modern both",
		"starling serve --http :1 --livesync-": "--livesync-rate --livesync-interface --livesync-group --livesync-node --livesync-node-plain --livesync-flush --livesync-renew --livesync-dialect",
		"starling serve --log-level w":         "warn",
		"starling serve --state-dir ":          "",
		"starling cluster --po":                "--port",
		"starling status --json --ad":          "--admin --admin-token-file",
		"starling serve --nonsense --log-f":    "--log-format",
		"starling nonsense --js":               "",
	} {
		words := strings.Split(line, " ")
		script := `source <(starling completion bash)
complete -p starling >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_starling
echo "${COMPREPLY[*]}"`
		cmd := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "-c", script, "bash"}, words...)...)
		cmd.Env = append(os.Environ(), asStarling+"=1", noRaceSleep, "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
}
