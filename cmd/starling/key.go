package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"starling/livesync/seal"
)

// keyCommand returns `starling key`: a new cluster key.
func keyCommand() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "make a cluster key, or a token for the admin address",
		Description: `Prints a new key: 32 random bytes. All nodes of a cluster need the same one:

   umask 077
   starling key > cluster.key
   starling serve --cluster-key-file cluster.key

To replace it while the cluster runs, restart the nodes one by one, and all of
them before the next step, with files that hold

   1. the old key, and the new one on the line below
   2. the new key, and the old one on the line below
   3. the new key

A cluster that has none yet gets one node by node, too: start each with the key
and --livesync-node-plain for those that still lack it, and in the end without.

A key serves as the token of --admin-token-file, too: make another one for that.`,
		Action: func(c *cli.Context) error {
			_, err := fmt.Fprintln(c.App.Writer, seal.NewKey())
			return err
		},
	}
}
