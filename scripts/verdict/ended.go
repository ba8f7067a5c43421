package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// ended counts one test or package that has come to its end and prints of its
// output what is worth reading.
func (c *counts) ended(e event, output []string, w io.Writer) {
	if e.Test == "" {
		c.endedPackage(e, output, w)
		return
	}
	switch e.Action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		show(w, output, func(line string) bool { return !isProgress(line) })
	case "skip":
		c.skipped++
		fmt.Fprintf(w, "--- SKIP: %s: %s\n", e.Test, reason(output))
	}
}

// endedPackage prints go test's own line for a package; all the package said
// itself comes first when it failed, which is where a panic is found.
func (c *counts) endedPackage(e event, output []string, w io.Writer) {
	if e.Action == "fail" {
		c.broken++
		show(w, output, func(line string) bool { return line != "FAIL\n" })
		return
	}
	show(w, output, func(line string) bool { return strings.HasPrefix(line, "ok ") })
}

// showUnended prints what tests of a failed package said that never came to
// their end, because the process died or was stopped.
func showUnended(e event, held map[string][]string, w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if !strings.HasPrefix(name, e.Package+" ") {
			continue
		}
		if e.Action == "fail" {
			fmt.Fprintf(w, "--- UNENDED: %s\n", name)
			show(w, held[name], func(line string) bool { return !isProgress(line) })
		}
		delete(held, name)
	}
}

// show prints the lines that are wanted.
func show(w io.Writer, lines []string, wanted func(string) bool) {
	for _, line := range lines {
		if wanted(line) {
			io.WriteString(w, line)
		}
	}
}

// isProgress says whether a line only tells that a test starts, waits or goes on.
func isProgress(line string) bool {
	return strings.HasPrefix(strings.TrimSpace(line), "=== ")
}

// reason is what a skipped test gave for one, on one line.
func reason(output []string) string {
	var words []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !isProgress(line) && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}
