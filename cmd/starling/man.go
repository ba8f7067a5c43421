package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// manCommand returns `starling man`, with which packages are made: what --help says of everything, as a manual page. It is not listed.
func manCommand() *cli.Command {
	return &cli.Command{
		Name:   "man",
		Usage:  "print the manual page",
		Hidden: true,
		Description: `Prints it as man reads it.

   starling man | man -l -`,
		Action: func(c *cli.Context) error {
			writeManual(c.App.Writer, c.App)
			return nil
		},
	}
}

// writeManual writes the page: the program, then each command with its flags.
func writeManual(w io.Writer, app *cli.App) {
	version, _, _ := strings.Cut(app.Version, " ")
	fmt.Fprintf(w, ".TH STARLING 1 \"\" \"starling %s\" \"User Commands\"\n", roff(version))
	fmt.Fprintf(w, ".SH NAME\nstarling \\- %s\n", roff(app.Usage))
	fmt.Fprint(w, ".SH SYNOPSIS\n.B starling\n.I COMMAND\n[options]\n.SH DESCRIPTION\n")
	roffText(w, app.Description)
	for _, cmd := range app.VisibleCommands() {
		fmt.Fprintf(w, ".SH STARLING %s\n%s.\n", roff(strings.ToUpper(cmd.Name)), roff(sentence(cmd.Usage)))
		roffText(w, cmd.Description)
		heading := ""
		for _, f := range cmd.VisibleFlags() {
			if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != heading {
				heading = c.GetCategory()
				fmt.Fprintf(w, ".SS %s\n", roff(heading))
			}
			if f != cli.HelpFlag {
				roffFlag(w, f.String())
			}
		}
	}
	fmt.Fprint(w, ".SH EXIT STATUS\n0 when all went well, 1 for a failure while running, 2 for a wrong flag, key, address or file.\n")
}

// sentence returns a usage, which begins with a small letter, as the beginning of a sentence.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// roffFlag writes a flag from its entry in --help: its name and value in the first line, its text in the others.
func roffFlag(w io.Writer, entry string) {
	name, text, _ := strings.Cut(strings.TrimSpace(entry), "\n")
	fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(name), roff(strings.Join(strings.Fields(text), " ")))
}

// roffText writes paragraphs. Lines that are indented stay as they are.
func roffText(w io.Writer, text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if !strings.HasPrefix(paragraph, " ") {
			fmt.Fprintf(w, ".PP\n%s\n", roff(strings.Join(strings.Fields(paragraph), " ")))
			continue
		}
		fmt.Fprint(w, ".PP\n.nf\n.RS\n")
		for line := range strings.Lines(paragraph) {
			fmt.Fprintln(w, roff(strings.TrimPrefix(strings.TrimRight(line, "\n"), "   ")))
		}
		fmt.Fprint(w, ".RE\n.fi\n")
	}
}

// roff returns text in which nothing is a request or an escape: a hyphen is one that can be pasted, and no line begins with a dot or a quote.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
