package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionFlag asks for the words that can follow, instead of running the command. The
// library wants it last.
const completionFlag = "--generate-bash-completion"

// flagsFirst moves the flags of a command line ahead of its other arguments,
// because the command line library stops reading flags at the first argument that is none:
// `starling announce URL --json` becomes `starling announce --json -- URL`.
// What follows "--" stays as it is. With --help, or a flag whose value is missing, only the flags
// are left: nothing else counts.
func flagsFirst(commands []*cli.Command, args []string) []string {
	if len(args) < 2 || args[len(args)-1] == completionFlag {
		return args
	}
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[1]) })
	if i < 0 {
		return args
	}
	flags, others := split(commands[i].Flags, args[2:])
	if len(others) > 0 {
		others = slices.Insert(others, 0, "--")
	}
	return slices.Concat(args[:2], flags, others)
}

// split parts the arguments of a command into its flags, each with its value, and the others.
func split(defined []cli.Flag, args []string) (flags, others []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return flags, append(others, args[i+1:]...)
		case len(arg) < 2 || arg[0] != '-':
			others = append(others, arg)
		case arg == "--help" || arg == "-h":
			return []string{arg}, nil
		case !takesValue(defined, arg):
			flags = append(flags, arg)
		case i+1 == len(args):
			return append(flags, arg), nil
		default:
			flags = append(flags, arg, args[i+1])
			i++
		}
	}
	return flags, others
}

// takesValue reports whether arg, such as --http, is a flag whose value is the next argument.
func takesValue(defined []cli.Flag, arg string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	f := flagNamed(defined, name)
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// flagNamed returns the flag of that name, or nil.
func flagNamed(defined []cli.Flag, name string) cli.Flag {
	for _, f := range defined {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}
