package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the README's table of flags anew")

// flagTable matches the first table after the README's heading for the flags of serve: the heading and what follows it, and the table.
var flagTable = regexp.MustCompile("(?s)(\n## Flags of `starling serve`\n[^|]*\n)((?:\\|[^\n]*\n)+)")

// TestReadmeFlagTable: the README's table of flags is what the options say. Write it with
// go test ./cmd/starling -run Readme -update; the heading must be there and some table below it.
func TestReadmeFlagTable(t *testing.T) {
	const path = "../../README.md"
	readme, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := flagTable.FindSubmatchIndex(readme)
	if m == nil {
		t.Fatal("README.md has no table below the heading Flags of `starling serve`")
	}
	start, end := m[4], m[5]
	want := markdownFlags()
	if *update {
		text := string(readme[:start]) + want + string(readme[end:])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := string(readme[start:end]); got != want {
		t.Errorf("the README's table of flags differs; -update writes this one:\n%s", want)
	}
}

// markdownFlags returns the table of the flags of serve.
func markdownFlags() string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	b.WriteString("| `--config FILE` | none | Settings in a TOML file. |\n")
	opts := options(new(config))
	for i := range opts {
		o := &opts[i]
		list, def := "", o.defText
		if o.list {
			list = " (list)"
		}
		if def == "" {
			def = "`" + o.def + "`"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", strings.TrimSpace("--"+o.name+" "+o.value), list, def, o.usage)
	}
	return b.String()
}
