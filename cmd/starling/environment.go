package main

import (
	"fmt"
	"maps"
	"strings"

	"github.com/urfave/cli/v2"
)

// envPrefix starts the name of every environment variable that is ours.
const envPrefix = "STARLING_"

// envName returns the variable that stands for a flag: STARLING_PEER_TIMEOUT for --peer-timeout.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment holds the variables that are ours, by name.
type environment map[string]string

// readEnvironment picks our variables from environ, the form of [os.Environ].
// One that is empty or belongs to no flag of any command is an error: it is a
// mistake that would otherwise show as a default that nobody asked for.
func readEnvironment(environ []string, commands []*cli.Command) (environment, error) {
	known := make(map[string]bool)
	for _, c := range commands {
		for _, f := range c.Flags {
			known[envName(f.Names()[0])] = true
		}
	}
	env := make(environment)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix) || foreignVariable(name):
		case !known[name]:
			return nil, fmt.Errorf("%s: no such setting%s", name, didYouMean(envPrefix, name, maps.Keys(known)))
		case value == "":
			return nil, fmt.Errorf("%s: the variable is empty; unset it for the default", name)
		default:
			env[name] = value
		}
	}
	return env, nil
}

// foreignVariable reports whether a variable with our prefix is set by others:
// STARLING_REQUIRE belongs to the test suite, STARLING_HANDOVER to an upgrade, and Kubernetes gives every container
// STARLING_SERVICE_HOST, STARLING_PORT_6969_TCP_ADDR and their like when a service is called starling.
func foreignVariable(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "REQUIRE" || name == handoverVariable || strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "PORT_")
}

// fill sets the flags of a command that are not on the command line from the environment.
func (env environment) fill(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		flag := f.Names()[0]
		value, ok := env[envName(flag)]
		if !ok || c.IsSet(flag) {
			continue
		}
		if o, ok := f.(*optionFlag); ok {
			o.where = envName(flag)
		}
		if err := c.Set(flag, value); err != nil {
			return fmt.Errorf("%s: invalid value %q: %w", envName(flag), value, err)
		}
	}
	return nil
}
