package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"
)

// The exit codes. A usage error is one that shows before anything is served: a wrong flag, key, address or file, or a port in use.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal drains; with the default action restored, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// run runs the program and returns its exit code. Whatever fails is one line on stderr.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	app := newApp(args, environ, stdout, stderr)
	err := app.RunContext(ctx, flagsFirst(app.Commands, args))
	if err == nil {
		return exitOK
	}
	if msg := strings.TrimSpace(err.Error()); msg != "" {
		fmt.Fprintf(stderr, "starling: %s\n", strings.Join(strings.Fields(msg), " "))
	}
	if coder := cli.ExitCoder(nil); errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return exitFailure
}

// usagef returns an error that ends the program with [exitUsage].
func usagef(format string, args ...any) error {
	return cli.Exit(fmt.Errorf(format, args...), exitUsage)
}

// ownHelp makes the library print helps as ours are. It keeps that for the whole process, in which tests run several programs at once.
var ownHelp = sync.OnceFunc(func() {
	cli.HelpPrinter = printHelp
	cli.FlagStringer = flagHelp
})

// newApp returns the program with all its commands. args and environ are those of the
// process.
func newApp(args, environ []string, stdout, stderr io.Writer) *cli.App {
	ownHelp()
	app := &cli.App{
		Name:                 "starling",
		Usage:                "a BitTorrent tracker that runs as a cluster",
		Description:          appDescription,
		Version:              fullVersion(),
		Writer:               stdout,
		ErrWriter:            stderr,
		Flags:                []cli.Flag{cli.HelpFlag},
		HideHelpCommand:      true,
		EnableBashCompletion: true,
		BashComplete:         completeCommands,
		Action:               noCommand,
		OnUsageError:         usageError,
		// run prints the error and chooses the exit code; the library must not end the process.
		ExitErrHandler: func(*cli.Context, error) {},
	}
	app.Commands = []*cli.Command{
		serveCommand(),
		clusterCommand(),
		statusCommand(),
		topCommand(),
		pacingCommand(),
		announceCommand(),
		scrapeCommand(),
		dumpCommand(),
		doctorCommand(),
		keyCommand(),
		checkCommand(),
		configCommand(),
		loadCommand(),
		completionCommand(),
		manCommand(),
		helpCommand(),
	}
	for _, cmd := range app.Commands {
		cmd.HideHelpCommand = true
		cmd.OnUsageError = usageError
		cmd.Before = before(environ, app.Commands)
		cmd.BashComplete = completeFlags(cmd, args)
	}
	return app
}

// before returns what is done ahead of every command: refuse arguments where
// none are taken, and take the flags that are not given from the environment.
func before(environ []string, commands []*cli.Command) cli.BeforeFunc {
	return func(c *cli.Context) error {
		if c.Command.ArgsUsage == "" && c.Args().Present() {
			return usagef("%s takes flags only, not %q", c.Command.HelpName, c.Args().First())
		}
		env, err := readEnvironment(environ, commands)
		if err == nil {
			err = env.fill(c)
		}
		if err != nil {
			return usagef("%w", err)
		}
		return nil
	}
}

// noCommand answers a command line that names no command, or one there is not.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	return unknownCommand(c, name)
}

func unknownCommand(c *cli.Context, name string) error {
	names := func(yield func(string) bool) {
		for _, cmd := range c.App.Commands {
			if !yield(cmd.Name) {
				return
			}
		}
	}
	return usagef("unknown command %q%s (starling --help lists them)", name, didYouMean("", name, names))
}

// usageError turns the command line library's complaint into ours.
func usageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "flag provided but not defined: -"); ok {
		name = strings.TrimLeft(name, "-")
		names := func(yield func(string) bool) {
			for _, f := range c.Command.Flags {
				if !yield("--" + f.Names()[0]) {
					return
				}
			}
		}
		return usagef("unknown flag %s%s (%s --help lists them)", dashed(name), didYouMean("--", "--"+name, names), c.Command.HelpName)
	}
	if name, ok := strings.CutPrefix(msg, "flag needs an argument: -"); ok {
		return usagef("%s: the value is missing", dashed(strings.TrimLeft(name, "-")))
	}
	if m := invalidValue.FindStringSubmatch(msg); m != nil {
		return usagef("%s: %s: %s", dashed(m[2]), m[1], wanted(c.Command.Flags, m[2], m[3]))
	}
	return usagef("%w", err)
}

// wanted says what the value of a flag is to be, where the flag package says only that it cannot read it; else the reason it gives.
func wanted(flags []cli.Flag, name, reason string) string {
	for _, f := range flags {
		if f.Names()[0] != name || reason != "parse error" {
			continue
		}
		switch f.(type) {
		case *cli.DurationFlag:
			return "want a duration, such as 250ms, 90s or 15m"
		case *cli.IntFlag:
			return "want a whole number"
		case *cli.Float64Flag:
			return "want a number"
		case *cli.BoolFlag:
			return "want true, false or no value"
		}
	}
	return reason
}

// invalidValue matches the flag package's complaint about a value: the value, the flag, the reason.
var invalidValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^ :]+): (.*)$`)

// dashed returns a flag as it is written: -n, --nodes.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
