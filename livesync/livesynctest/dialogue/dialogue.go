// Package dialogue plays conversations that are text files, for tests: a newcomer reads them before the code, and a change of
// behaviour shows as a change of the text.
//
// A file is a series of steps. Each is some commands, a line of dashes, and what happened, up to an empty line; a line that begins
// with # is a remark:
//
//	node a
//	run 1s
//	----
//	0s a sends beacon
//
// It stands apart from livesynctest, which imports livesync and so cannot serve livesync's own tests.
package dialogue

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the dialogues under testdata say now")

// Play plays each testdata/*.txt, as a test of its own, and compares what happened with what the file says; -update writes it anew. begin is
// called once a file. It is given where to write what happens, a line each, and returns what does a command, which comes in words.
func Play(t *testing.T, begin func(t *testing.T, happened *strings.Builder) (command func(words []string))) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var happened strings.Builder
			got := play(string(want), begin(t, &happened), &happened)
			if *update {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(want) {
				t.Errorf("the dialogue went differently (-update accepts it):\n%s", got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// play returns the dialogue with what happens now in place of what the text says happens.
func play(text string, command func(words []string), happened *strings.Builder) string {
	var out strings.Builder
	told := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case told && line != "":
		case line == "----":
			told = true
			out.WriteString(line + "\n" + happened.String())
			happened.Reset()
		default:
			told = false
			out.WriteString(line + "\n")
			if line != "" && line[0] != '#' {
				command(strings.Fields(line))
			}
		}
	}
	return out.String()
}
