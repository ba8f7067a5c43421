package archtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of flags into the README")

// flagsHeading is what the README's section with the table is called.
const flagsHeading = "\n## Flags of `starling serve`\n"

var (
	helpFlag     = regexp.MustCompile(`^   (--[a-z-]+.*)$`)
	helpText     = regexp.MustCompile(`^(.*) \(default: (.*)\)$`)
	readmeTables = regexp.MustCompile(`(?m)(^\|.*\n)+`)
)

// TestREADMENamesTheFlagsThereAre: the README's table of flags is what
// `starling serve --help` says, so neither is ahead of the other. The table is
// made anew by go test ./scripts/archtest -update.
func TestREADMENamesTheFlagsThereAre(t *testing.T) {
	const path = root + "/README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, section, ok := strings.Cut(string(text), flagsHeading)
	if !ok {
		t.Fatalf("README.md has no section%s", flagsHeading)
	}
	section, after, more := strings.Cut(section, "\n## ")
	if more {
		after = "\n## " + after
	}
	want, have := flagTable(t), readmeTables.FindString(section)
	switch {
	case have == want:
		return
	case !*update:
		t.Fatalf("README.md has the table of flags\n%s\nthe help says\n%s\n%s", have, want,
			"go test ./scripts/archtest -update writes it")
	case have == "":
		section = strings.TrimRight(section, "\n") + "\n\n" + want
	default:
		section = strings.Replace(section, have, want, 1)
	}
	if err := os.WriteFile(path, []byte(before+flagsHeading+section+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// flagTable makes the table from the help: for each flag a line that names it
// and what it takes, then lines that describe it and end in its default.
func flagTable(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "run", "./cmd/starling", "serve", "--help")
	cmd.Dir = root
	help, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, help)
	}
	var table strings.Builder
	table.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	var name, text string
	end := func() {
		meaning, byDefault := text, "none"
		if m := helpText.FindStringSubmatch(text); m != nil {
			meaning, byDefault = m[1], m[2]
		}
		if name != "" {
			fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, byDefault, meaning)
		}
		name, text = "", ""
	}
	for line := range strings.Lines(string(help)) {
		line = strings.TrimRight(line, "\n")
		if m := helpFlag.FindStringSubmatch(line); m != nil {
			end()
			name = m[1]
		} else if name != "" && strings.HasPrefix(line, "      ") {
			text = strings.TrimSpace(text + " " + strings.TrimSpace(line))
		} else {
			end()
		}
	}
	end()
	return table.String()
}
