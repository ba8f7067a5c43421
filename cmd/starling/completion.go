package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts hand the words typed so far, the one under the cursor included,
// to the program itself and offer the lines it answers. They need nothing
// beyond the shell: not even the bash-completion package.

const bashCompletion = `# Completion of starling for bash. Load it with: source <(starling completion bash)
_starling() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[@]:0:COMP_CWORD+1}" --generate-bash-completion 2>/dev/null))
}
complete -o default -F _starling starling
`

const zshCompletion = `#compdef starling
# Completion of starling for zsh. Load it with: source <(starling completion zsh)
_starling() {
  local -a candidates
  candidates=("${(@f)$("${(@)words[1,CURRENT]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${candidates[1]}" ]]; then
    compadd -- "${candidates[@]}"
  else
    _files
  fi
}
compdef _starling starling
`

const fishCompletion = `# Completion of starling for fish. Load it with: starling completion fish | source
function __starling_complete
  set -l words (commandline --tokenize --cut-at-cursor --current-process) (commandline --current-token --cut-at-cursor)
  $words --generate-bash-completion 2>/dev/null
end
complete --command starling --arguments '(__starling_complete)'
`

// completionCommand returns `starling completion`.
func completionCommand() *cli.Command {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands and flags in a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: `Prints the script; load it from the file your shell reads at start.

   echo 'source <(starling completion bash)' >> ~/.bashrc`,
		Action: func(c *cli.Context) error {
			script, ok := scripts[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usagef("completion: name the shell, bash, zsh or fish")
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

// completeCommands prints the names of the commands that start like the last word.
func completeCommands(c *cli.Context) {
	for _, cmd := range c.App.VisibleCommands() {
		if strings.HasPrefix(cmd.Name, c.Args().First()) {
			fmt.Fprintln(c.App.Writer, cmd.Name)
		}
	}
}

// completeFlags returns the function that prints what can stand in place of the
// last word of args, a command line of cmd: the values of the flag before
// it, or else the flags that start like it. Nothing printed lets the shell complete file names.
func completeFlags(cmd *cli.Command, args []string) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		words := slices.DeleteFunc(slices.Clone(args), func(w string) bool { return w == completionFlag })
		if len(words) < 3 {
			return
		}
		last, previous := words[len(words)-1], words[len(words)-2]
		for _, candidate := range candidates(cmd, previous, last) {
			if strings.HasPrefix(candidate, last) {
				fmt.Fprintln(c.App.Writer, candidate)
			}
		}
	}
}

// candidates returns the words that can follow previous, where last has been begun.
func candidates(cmd *cli.Command, previous, last string) []string {
	if strings.HasPrefix(previous, "-") && takesValue(cmd.Flags, previous) {
		if o, ok := flagNamed(cmd.Flags, strings.TrimLeft(previous, "-")).(*optionFlag); ok {
			return o.choices
		}
		return nil
	}
	var words []string
	if strings.HasPrefix(last, "-") {
		for _, f := range cmd.Flags {
			if v, ok := f.(cli.VisibleFlag); ok && v.IsVisible() {
				words = append(words, dashed(f.Names()[0]))
			}
		}
	}
	return words
}
