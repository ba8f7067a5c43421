package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The manual page has each command and flag that --help has, and no line that man would take for a request it is not.
func TestManual(t *testing.T) {
	r := invoke(t, nil, "man")
	if r.code != exitOK {
		t.Fatalf("%d, %q", r.code, r.stderr)
	}
	app := newApp(nil, nil, nil, nil)
	for _, cmd := range app.VisibleCommands() {
		if !strings.Contains(r.stdout, ".SH STARLING "+roff(strings.ToUpper(cmd.Name))+"\n") {
			t.Errorf("%s is missing", cmd.Name)
		}
		for _, f := range cmd.VisibleFlags() {
			if name := roff(dashed(f.Names()[0])); f.Names()[0] != "help" && !strings.Contains(r.stdout, ".B "+name) {
				t.Errorf("%s %s is missing", cmd.Name, name)
			}
		}
	}
	requests := []string{".TH ", ".SH ", ".SS ", ".TP", ".B ", ".I ", ".PP", ".nf", ".fi", ".RS", ".RE"}
	for line := range strings.Lines(r.stdout) {
		known := !strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "'")
		for _, request := range requests {
			known = known || strings.HasPrefix(line, request)
		}
		if !known {
			t.Errorf("%q", line)
		}
	}
	if _, err := exec.LookPath("groff"); err == nil {
		cmd := exec.Command("groff", "-man", "-Tutf8", "-ww")
		cmd.Stdin = strings.NewReader(r.stdout)
		var said strings.Builder
		cmd.Stderr = &said
		if out, err := cmd.Output(); err != nil || said.Len() > 0 || len(out) < 1000 {
			t.Errorf("groff: %v: %s", err, said.String())
		}
	}
}
