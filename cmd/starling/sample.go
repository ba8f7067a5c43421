package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// configCommand returns `starling config`: a configuration file with everything that can stand in it.
func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "print a configuration file with every key explained",
		Description: `Prints a file for serve --config in which every key is explained and commented
out with its default, so that it changes nothing as it is:

   starling config > starling.toml
   starling check --config starling.toml`,
		Action: func(c *cli.Context) error {
			printConfig(c.App.Writer)
			return nil
		},
	}
}

// printConfig writes the file. A key without a default shows what its value looks like.
func printConfig(w io.Writer) {
	fmt.Fprint(w, `# Settings of starling serve. A flag beats the environment, which beats this file.
# A key that is commented out shows its default, or, in capitals, what a value is.
# starling check --config FILE judges this file; SIGHUP has it read again.
`)
	heading := ""
	opts := options(new(config))
	for i := range opts {
		o := &opts[i]
		if o.group != heading {
			heading = o.group
			fmt.Fprintf(w, "\n## %s\n", heading)
		}
		text := strings.ReplaceAll(o.usage, "`", "")
		if o.defText != "" {
			text += " Default: " + o.defText + "."
		}
		fmt.Fprintf(w, "\n%s#%s = %s\n", comment(text), o.name, o.sample())
	}
	fmt.Fprintf(w, "\n%s%s", comment("Classes divide rate, uplink or announce-rate among kinds of requests. They stand at the end, each in a table of its own; "+
		"without any those that are built in hold, which starling pacing shows."), sampleClass)
}

// comment returns a text as lines of a comment.
func comment(text string) string {
	var b strings.Builder
	for line := range strings.Lines(wrap(text, 2)) {
		b.WriteString("# " + strings.TrimPrefix(line, "  "))
	}
	return b.String()
}

// sample returns the default of an option, or what a value looks like, as TOML.
func (o *option) sample() string {
	value := o.def
	if value == "" {
		value = o.value
	}
	switch {
	case o.boolean:
		return "false"
	case o.number && strings.Trim(value, "0123456789") == "":
		return value
	case o.list:
		return fmt.Sprintf("[%q]", value)
	}
	return fmt.Sprintf("%q", value)
}

// sampleClass explains the tables of classes.
const sampleClass = `#[[class]]
#name = "office"
# The class it is part of, one that stands before it. Default: none.
#parent = "NAME"
# What it is assured of: a part of its parent's rate, or an amount such as 400/s or 2MB/s.
#rate = "20%"
# The most it gets, with what others lend. Default: the rate.
#ceil = "100%"
# What it may gather while it is idle, in bytes or requests. Default: 20 ms of its rate.
#burst = 8
# Who borrows first: the smallest.
#priority = 0
# How long a request waits in its queue at most.
#wait = "2s"
# Turns among its clients (drr), or fifo or lifo.
#scheduler = "drr"
# Which requests are of this class: those that fit one of these tables, and of that each key there is.
#[[class.match]]
#event = ["started", "completed", "stopped", "regular", "scrape", "bulk"]
#path = ["/announce"]
#network = ["10.0.0.0/8"]
# How the peer id begins.
#client = ["-TR", "-qB"]

#[[class]]
#name = "everyone"
#rate = "60%"
#ceil = "100%"
#match = {event = ["started", "completed", "stopped", "regular", "scrape", "bulk"]}
`
