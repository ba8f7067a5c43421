package livesync

import (
	"context"

	"starling/wire"
)

// Node tells and hears. [New] makes one, [Node.Run] is its whole life.
type Node struct {
	cfg Config
}

// New returns a node that does nothing yet.
func New(cfg Config) *Node { return &Node{cfg: cfg} }

// Offer hands in a record to be told to the other nodes. It neither blocks nor
// allocates, so it may be called under a lock of the store.
func (n *Node) Offer(r wire.Record) {}

// Run joins the group, sends and receives until ctx ends, and then flushes the last batch.
func (n *Node) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Status returns what the node knows of itself and the others.
func (n *Node) Status() Status {
	return Status{ID: n.cfg.ID, Group: n.cfg.Group, Interface: n.cfg.Interface, Mode: "off", State: "off"}
}
