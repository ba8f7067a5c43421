package livesync

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"starling/livesync/catchup"
	"starling/livesync/edits"
	"starling/wire"
)

// editing is a keyed node's part in the lists that all nodes share. The node's lock guards it; the machine has its own.
type editing struct {
	*edits.Machine
	heard wire.Edits // scratch
}

// newEditing returns nil for a node that shares no lists.
func newEditing(n *Node) *editing {
	if n.cfg.Edits == nil || n.keyed == nil || n.cfg.Interface == "" {
		return nil
	}
	n.cfg.Edits.Attach(n.poke)
	return &editing{Machine: n.cfg.Edits}
}

// SharesEdits reports whether what is changed in the lists reaches other nodes.
func (n *Node) SharesEdits() bool { return n.edits != nil }

// fillEdits puts a packet of changes that is due into the control lane, in which nothing waits. The caller holds n.mu.
func (n *Node) fillEdits(now time.Time) {
	if n.edits == nil {
		return
	}
	w := &n.outbox.lanes[ControlLane]
	if b := n.edits.Next(now, n.outbox.editing[:0], n.ident.id); b != nil {
		w.pkt, w.kind = b, wire.KindEdits
	}
}

// editsDue returns when fillEdits has something to do. The caller holds n.mu.
func (n *Node) editsDue() time.Time {
	if n.edits == nil || n.outbox.lanes[ControlLane].pkt != nil {
		return time.Time{}
	}
	return n.edits.Due()
}

// heedEdits takes in what a believed node changed. The caller holds n.mu.
func (n *Node) heedEdits(now time.Time, sender *node, p *wire.Packet) error {
	if n.edits == nil {
		return nil
	}
	var err error
	if n.edits.heard, err = p.Edits(n.edits.heard); err != nil {
		return err
	}
	n.edits.Heard(now, sender.id, &n.edits.heard)
	return nil
}

// errUnreachable says that a node cannot be asked.
var errUnreachable = errors.New("the node does not say where it can be asked")

// fetchEdits asks other nodes for entries of the lists that we lack, until ctx ends.
func (n *Node) fetchEdits(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if from, ok := n.edits.Fetch(time.Now()); ok {
			news, err := n.fetchFrom(ctx, from)
			n.edits.Fetched(from, news, err)
			if err != nil {
				n.log.Debug().Stringer("node", from).Err(err).Msg("changes of the lists could not be asked for")
			} else if news > 0 {
				n.log.Info().Stringer("node", from).Int("entries", news).Msg("changes of the lists came from another node")
			}
		}
		timer.Reset(editsInterval)
	}
}

// editsInterval is how often it is looked whether there is something to ask for.
const editsInterval = 250 * time.Millisecond

// fetchFrom asks one node.
func (n *Node) fetchFrom(ctx context.Context, from wire.NodeID) (news int, err error) {
	addr, request, err := n.editsRequest(from)
	if err != nil {
		return 0, err
	}
	err = catchup.FetchEdits(ctx, n.dial, n.catch.tls, addr, request, n.edits.AppendSums(nil), func(now time.Time, frame []byte) error {
		more, err := n.edits.Take(now, frame)
		news += more
		return err
	})
	return news, err
}

// editsRequest returns where a node is asked, and with what.
func (n *Node) editsRequest(from wire.NodeID) (addr netip.AddrPort, request []byte, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.nodes.byID[from]
	if o == nil || o.life.member.CatchUpPort == 0 {
		return addr, nil, errUnreachable
	}
	r := catchup.Request{ID: n.ident.id, Epoch: n.keyed.sealer.Epoch(), Target: from, TargetEpoch: o.life.epoch, Edits: true}
	return netip.AddrPortFrom(o.address.Addr(), o.life.member.CatchUpPort), r.Append(nil), nil
}

// answerEdits returns what another node may lack of the lists.
func (n *Node) answerEdits(now time.Time, r catchup.Request, sums []byte) (frames func() []byte, err error) {
	if _, _, ok := n.answers(now, &r); !ok {
		return nil, catchup.ErrTarget
	}
	return n.edits.Answer(sums)
}
