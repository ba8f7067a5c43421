package dialogue

import (
	"strings"
	"testing"
)

// Commands are carried out in their order; what happened stands behind the dashes, whatever stood there; all else stays.
func TestPlay(t *testing.T) {
	const text = "# a remark\n\nsay  one\nsay two\n----\nold\nlines\n\nsay three\n----\n\n"
	const want = "# a remark\n\nsay  one\nsay two\n----\none\ntwo\n\nsay three\n----\nthree\n\n"
	var happened strings.Builder
	command := func(words []string) {
		if words[0] != "say" {
			t.Errorf("command %q", words)
		}
		happened.WriteString(words[1] + "\n")
	}
	for _, in := range []string{text, want} {
		if got := play(in, command, &happened); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A file that says what happens is left as it is.
func TestTheFileInTestdata(t *testing.T) {
	Play(t, func(_ *testing.T, happened *strings.Builder) func([]string) {
		return func(words []string) { happened.WriteString(strings.Join(words, " ") + "\n") }
	})
}
