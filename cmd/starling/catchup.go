package main

import (
	"time"

	"starling/livesync"
	"starling/livesync/catchup"
	"starling/tracker"
	"starling/wire"
)

// storeOf is a tracker's store as catching up and snapshots see it.
func storeOf(t *tracker.Tracker) catchup.Store {
	return catchup.Store{
		Walk: func(within time.Duration) catchup.Walk { return walk(t, tracker.Cursor{Within: within}) },
		Restore: func(peers uint64) catchup.Restore {
			r := t.Restorer(peers)
			return catchup.Restore{Swarms: r.Restore, Leavers: r.Leave, Prune: r.Prune}
		},
		Apply: t.ApplyAll,
		Count: func() (torrents, peers uint64) {
			s := t.Stats()
			return s.Torrents, s.Peers4 + s.Peers6
		},
	}
}

// walk walks over a tracker from a cursor on.
func walk(t *tracker.Tracker, at tracker.Cursor) catchup.Walk {
	return func(now time.Time, dst *wire.Excerpt) bool { return t.Walk(now, &at, dst) }
}

// catchUp is what such a tracker catches up with, nil without a cluster key.
func (n *node) catchUp(t *tracker.Tracker) *livesync.CatchUp {
	if len(n.cfg.keys) == 0 {
		return nil
	}
	return &livesync.CatchUp{Store: storeOf(t), Timeout: n.cfg.peerTimeout}
}
