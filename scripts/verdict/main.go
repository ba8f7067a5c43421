// Command verdict reads the events of `go test -json` on standard input and
// prints what a reader of the gate needs: go test's own line for each package,
// all the output of a test that failed, and one line with the reason for each
// test that was skipped, which plain go test keeps quiet about. It ends with
// the counts and exits 1 when a test failed, when none ran, or, with -strict,
// when one was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	tally := flag.String("tally", "", "append passed, failed and skipped counts to this `file`")
	flag.Parse()

	counts, err := read(os.Stdin, os.Stdout)
	if err == nil {
		fmt.Println(counts)
		err = counts.keep(*tally)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
	if !counts.good(*strict) {
		os.Exit(1)
	}
}

// event is one line of `go test -json`, as `go doc test2json` describes it.
// Build failures come as events of their own with an ImportPath.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// counts are tests, subtests included; broken are packages that failed, which
// may be for want of compiling and so without any test.
type counts struct{ passed, failed, skipped, broken int }

func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// good says whether the gate may go on.
func (c counts) good(strict bool) bool {
	return c.failed+c.broken == 0 && c.passed > 0 && (!strict || c.skipped == 0)
}

// keep appends the counts to a file that sums up several runs, if there is one.
func (c counts) keep(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, c.passed, max(c.failed, c.broken), c.skipped)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// read prints the events of r that matter to w and counts the tests. A line
// that is no event comes from the go command itself and is passed through.
func read(r io.Reader, w io.Writer) (counts, error) {
	var c counts
	held := make(map[string][]string) // output by test, and by package under its bare name
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(w, lines.Text())
			continue
		}
		name := e.Package + " " + e.Test
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			held[name] = append(held[name], e.Output)
		case "pass", "fail", "skip":
			c.ended(e, held[name], w)
			delete(held, name)
			if e.Test == "" {
				showUnended(e, held, w)
			}
		}
	}
	return c, lines.Err()
}
