package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

const (
	helpWidth  = 80 // columns of --help
	helpIndent = 3  // of flags and commands; their texts stand helpIndent further in
)

const appDescription = `A client that announces itself to one node is handed to clients of all others
within a quarter of a second. Nodes find each other by multicast on the local
network; there is nothing to install beside them and nothing to configure.

Three trackers on this machine, to look at, without root:

   starling cluster

One tracker on each host of a network, the real thing:

   starling serve

Every flag is also an environment variable: --peer-timeout is
STARLING_PEER_TIMEOUT. A flag beats the environment, which beats the file of
--config.`

// printHelp writes the help of the program or of one of its commands. It is the
// library's hook; the templates it offers are not used, so that the flags come in the
// order and under the headings they were written.
func printHelp(w io.Writer, _ string, data any) {
	switch d := data.(type) {
	case *cli.App:
		printAppHelp(w, d)
	case *cli.Command:
		printCommandHelp(w, d)
	}
}

func printAppHelp(w io.Writer, app *cli.App) {
	fmt.Fprintf(w, "%s: %s\n\n%s\n\nCommands:\n", app.Name, app.Usage, app.Description)
	for _, cmd := range app.VisibleCommands() {
		fmt.Fprintf(w, "%*s%-12s%s\n", helpIndent, "", cmd.Name, cmd.Usage)
	}
	fmt.Fprintf(w, "\n%s COMMAND --help explains one and shows an example.\n%s --version tells which build this is.\n", app.Name, app.Name)
}

func printCommandHelp(w io.Writer, cmd *cli.Command) {
	args := ""
	if cmd.ArgsUsage != "" {
		args = " " + cmd.ArgsUsage
	}
	fmt.Fprintf(w, "%s: %s\n\nUsage: %s [options]%s\n", cmd.HelpName, cmd.Usage, cmd.HelpName, args)
	if cmd.Description != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.Description))
	}
	heading := ""
	for _, f := range cmd.VisibleFlags() {
		if f == cli.HelpFlag {
			continue // whoever reads this has found it
		}
		category := "Options"
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != "" {
			category = c.GetCategory()
		}
		if category != heading {
			heading = category
			fmt.Fprintf(w, "\n%s:\n", heading)
		}
		fmt.Fprint(w, f.String())
	}
}

// flagHelp returns the entry of a flag defined with the library's own types. A word
// in backticks in its usage is the placeholder of its value, as the flag package has it.
func flagHelp(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	usage, placeholder := d.GetUsage(), ""
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		word, after, _ := strings.Cut(rest, "`")
		usage, placeholder = before+word+after, " "+word
	}
	def := ""
	if d.TakesValue() {
		def = strings.Trim(d.GetDefaultText(), `"`)
		if placeholder == "" {
			placeholder = " VALUE"
		}
	}
	var names []string
	for _, name := range f.Names() {
		names = append(names, dashed(name))
	}
	return helpEntry(strings.Join(names, ", ")+placeholder, usage, def)
}

// helpEntry returns the lines of one flag: its name, and its text indented below.
func helpEntry(name, usage, def string) string {
	if def != "" {
		usage += " (default: " + def + ")"
	}
	indent := strings.Repeat(" ", helpIndent)
	return indent + name + "\n" + wrap(usage, 2*helpIndent)
}

// wrap breaks text into lines of helpWidth columns at most, indented.
func wrap(text string, indent int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
			fmt.Fprintf(&b, "%*s%s", indent, "", word)
			column = indent + len(word)
		case column+1+len(word) > helpWidth:
			fmt.Fprintf(&b, "\n%*s%s", indent, "", word)
			column = indent + len(word)
		default:
			b.WriteString(" " + word)
			column += 1 + len(word)
		}
	}
	return b.String() + "\n"
}

// helpCommand returns `starling help`, for those who look for help that way.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "explain the program or one command",
		ArgsUsage: "[COMMAND]",
		Action: func(c *cli.Context) error {
			name := c.Args().First()
			if name == "" {
				return cli.ShowAppHelp(c)
			}
			cmd := c.App.Command(name)
			if cmd == nil {
				return unknownCommand(c, name)
			}
			printCommandHelp(c.App.Writer, cmd)
			return nil
		},
	}
}
