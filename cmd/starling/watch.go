package main

import (
	"context"
	"fmt"
	"time"

	"starling/livesync"
	"starling/wire"
)

const (
	watchInterval = time.Second
	// maxNews is how many nodes that appear or go at once are named: ids are free to forge where there is no key.
	maxNews = 8
)

// nodeState is how another node is.
type nodeState uint8

const (
	nodeHeard nodeState = iota
	nodeSilent
	nodeEnded    // it said so
	nodeReplaced // its host runs another one now
)

var nodeStateNames = [...]string{"heard", "silent", "ended", "replaced"}

func (s nodeState) String() string { return nodeStateNames[s] }

// nodeStateOf returns how a node is. One with a key tells something each second; one without
// is silent while it has nothing to tell, and beacons once in an interval.
func nodeStateOf(s *livesync.Status, o *livesync.NodeStatus, now time.Time, beacon time.Duration) nodeState {
	patience := livesync.AbsentAfter * beacon
	if o.Mode == "keyed" {
		patience = silentAfter * time.Second
	}
	switch {
	case o.Bye:
		return nodeEnded
	case now.Sub(o.LastHeard) <= patience:
		return nodeHeard
	case s.Replaced(o):
		return nodeReplaced
	}
	return nodeSilent
}

// happened is what a watcher noticed.
type happened struct {
	kind eventKind
	text string
}

// watcher notices what happens to a node and the others, from what livesync says of them once a second.
type watcher struct {
	beacon time.Duration

	looked   bool
	id       wire.NodeID
	trouble  string
	conflict string
	caughtUp bool
	streams  uint64
	inSync   *bool // as it was known last
	nodes    map[wire.NodeID]nodeState

	news []happened
	more int // nodes that are not named
}

// look returns what happened since the last look.
func (w *watcher) look(now time.Time, s *livesync.Status, caughtUp bool) []happened {
	w.news, w.more = nil, 0
	w.lookAtSelf(s, caughtUp)
	w.lookAtNodes(now, s)
	if w.more > 0 {
		w.add(eventJoined, "%d more nodes appeared or went", w.more)
	}
	w.lookAtSync(now, s)
	w.looked = true
	return w.news
}

func (w *watcher) add(kind eventKind, format string, args ...any) {
	w.news = append(w.news, happened{kind, fmt.Sprintf(format, args...)})
}

// lookAtSelf notices what happens to this node.
func (w *watcher) lookAtSelf(s *livesync.Status, caughtUp bool) {
	if w.looked && s.ID != w.id {
		w.add(eventNewID, "this node is %s now: another one has the id %s", s.ID, w.id)
	}
	if s.Conflict != "" && s.Conflict != w.conflict {
		w.add(eventConflict, "%s", s.Conflict)
	}
	switch {
	case s.Trouble != "" && w.trouble == "":
		w.add(eventCutOff, "live sync is cut off from the group: %s", s.Trouble)
	case s.Trouble == "" && w.trouble != "":
		w.add(eventJoinedIt, "live sync is back in the group")
	}
	switch c := &s.CatchUp; {
	case c.Streams <= w.streams:
	case c.Running: // the next one: what is known is of that
		w.add(eventCaughtUp, "caught up, and goes on with %s", c.From)
	default:
		w.add(eventCaughtUp, "caught up from %s: %d peers in %s", c.From, c.Peers, c.Took.Truncate(time.Millisecond))
	}
	if caughtUp && !w.caughtUp {
		w.add(eventReady, "ready for clients")
	}
	w.id, w.trouble, w.conflict, w.streams, w.caughtUp = s.ID, s.Trouble, s.Conflict, s.CatchUp.Streams, caughtUp
}

// lookAtNodes notices who came, fell silent, ended, came back or was forgotten.
func (w *watcher) lookAtNodes(now time.Time, s *livesync.Status) {
	are := make(map[wire.NodeID]nodeState, len(s.Nodes))
	for i := range s.Nodes {
		o := &s.Nodes[i]
		is := nodeStateOf(s, o, now, w.beacon)
		was, known := w.nodes[o.ID]
		are[o.ID] = is
		if known && is == was {
			continue
		}
		name := fmt.Sprintf("%s at %s", o.ID, host(addressOf(o)))
		switch {
		case is == nodeHeard && !known:
			w.name(eventJoined, name+" is heard")
		case is == nodeHeard:
			w.name(eventBack, name+" is heard again")
		case is == nodeEnded:
			w.name(eventEnded, name+" has ended, as it said")
		case is == nodeSilent:
			w.name(eventLost, name+" has fallen silent: down or cut off")
		}
	}
	for id := range w.nodes {
		if _, ok := are[id]; !ok {
			w.name(eventForgotten, fmt.Sprintf("%s is forgotten", id))
		}
	}
	w.nodes = are
}

// name adds what happened to one node, unless there was too much.
func (w *watcher) name(kind eventKind, text string) {
	if len(w.news) >= maxNews {
		w.more++
		return
	}
	w.add(kind, "%s", text)
}

// lookAtSync notices when the answer to "is my cluster in sync?" turns. While it is not known, or a node catches up, it has not
// turned.
func (w *watcher) lookAtSync(now time.Time, s *livesync.Status) {
	answer := s.Sync(now)
	if !answer.Known || answer.CatchingUp || w.inSync != nil && *w.inSync == answer.Yes {
		return
	}
	if answer.Yes {
		w.add(eventInSync, "the cluster is in sync")
	} else {
		w.add(eventDiffers, "the cluster is not in sync: %s", answer.Why)
	}
	w.inSync = &answer.Yes
}

// watch keeps the recent events and the history until ctx ends. It looks for the first time when all parts have begun.
func (n *node) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	w := watcher{beacon: n.cfg.beaconInterval}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, s := time.Now(), n.livesync.Status()
		for _, h := range w.look(now, &s, n.ready()) {
			n.events.add(now, h.kind, h.text)
		}
		n.observe(now, &s)
	}
}
