package netnstests

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPacingOnSockets runs scripts/pacing-bench for a few seconds, with bounds for a machine that does other things meanwhile: what
// breaks them is no jitter. The figures of a quiet machine are those of the script.
func TestPacingOnSockets(t *testing.T) {
	if cannot != "" {
		unable(t, cannot)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bench := filepath.Join(t.TempDir(), "pacing-bench")
	if out, err := exec.Command("go", "build", "-o", bench, "../scripts/pacing-bench").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(bench, "-starling", os.Getenv(binaryEnv), "-rate", "300000", "-seconds", "3",
		"-within", "25", "-jain", "0.9", "-assured", "70", "-wait", "4s").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
