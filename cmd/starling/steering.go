package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/tracker"
	"starling/tracker/pacer"
	"starling/tracker/sibling"
	"starling/wire"
)

// steering decides how many bytes a second its node may answer with, and who else serves its clients. The rate in force is
// the least of those there are:
//
//	--rate, as it is given                                                 -+
//	--uplink, this node's share of it <- members <- nodes livesync hears    +-> Pacing.SetRate
//	PUT /api/v1/limit, until DELETE                                        -+
//
// The members are the nodes that were heard within three beacon intervals, and siblings that went silent but
// answer probes: where the switch stops the group, nodes that no longer hear each other must not each take the whole uplink.
// Nodes whose probes fail while they are heard are down.
type steering struct {
	cfg      *config
	log      zerolog.Logger
	pacing   *tracker.Pacing
	paced    chan struct{}           // closed once the servers ask pacing for the first time: at the start, or when a limit is asked for
	pace     func(p *tracker.Pacing) // tells the servers; called with the lock held, when paces changes
	siblings *sibling.Set
	appeared chan struct{} // a node did: look at once

	mu     sync.Mutex            // guards all below
	uplink *pacer.Uplink[string] // nil: it is not shared
	total  int64                 // of the uplink
	paces  bool                  // the servers ask pacing
	ran    bool                  // paced is closed
	limit  int64                 // asked for at the admin address; 0: none
	rate   int64                 // in force, bytes a second; 0: unlimited
}

// self is the name of this node among the members; the others go by their ids.
const self = "self"

// The times of steering.
const (
	steerInterval = time.Second      // how often a node looks at what it is part of
	probeInterval = 5 * time.Second  // between probes of one sibling: clients are sent to a dead one for twice as long at most
	fullMemory    = 10 * time.Second // for how long a node that ran out of tokens has no room for the clients of others
)

// newSteering returns the steering of a node, with the jail for its clients; nil: one of its own. The error names what is wrong and has the numbers.
func newSteering(cfg *config, log zerolog.Logger, jail *pacer.Jail, now time.Time) (*steering, error) {
	s := &steering{cfg: cfg, log: log, paced: make(chan struct{}), appeared: make(chan struct{}, 1), rate: cfg.rate, total: cfg.uplink}
	s.siblings = sibling.New(sibling.Config{
		Siblings: cfg.siblings, Mode: cfg.siblingHealth,
		Silent: livesync.AbsentAfter * cfg.beaconInterval, Idle: cfg.beaconInterval, Probe: probeInterval,
		Log: log,
	}, now)
	pacing := tracker.PacingConfig{
		// Classes are judged by the whole uplink: the share of it comes and goes.
		Rate: leastRate(cfg.rate, cfg.uplink), Sharing: cfg.sharing, AnnounceRate: cfg.announceRate, Interval: cfg.interval,
		Classes: cfg.classes.list, OneRoot: cfg.oneRoot, Jail: jail,
		Shared: func(present pacer.Sharing) {
			log.Info().Stringer("sharing", present).Msg("connections share the rate in another way now")
		},
	}
	if cfg.redirect {
		pacing.Redirect = s.siblings.Redirect
	}
	var err error
	if s.pacing, err = tracker.NewPacing(pacing, now); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.whereClasses(), err)
	}
	if cfg.uplink > 0 {
		s.uplink = pacer.NewUplink(self, s.self(), cfg.uplink, cfg.beaconInterval, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paceLocked(cfg.paced())
	return s, s.applyLocked(now)
}

// paceLocked says whether the servers ask pacing from now on.
func (s *steering) paceLocked(paces bool) {
	if paces && !s.ran {
		s.ran = true
		close(s.paced)
	}
	if paces == s.paces {
		return
	}
	s.paces = paces
	switch {
	case s.pace == nil: // there are no servers yet
	case paces:
		s.pace(s.pacing)
	default:
		s.pace(nil)
	}
}

// runPacing divides the rates, once there is one, until ctx ends.
func (s *steering) runPacing(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.paced:
		return s.pacing.Run(ctx)
	}
}

// whereClasses names the place of the classes: the file, or the rate that those built in divide.
func (c *config) whereClasses() string {
	if len(c.classes.list) > 0 {
		return c.classes.where
	}
	for _, name := range []string{"rate", "uplink"} {
		if _, ok := c.given[name]; ok {
			return c.where(name)
		}
	}
	return c.where("announce-rate")
}

// leastRate returns the least of the rates there are; 0, none, when there is none.
func leastRate(rates ...int64) (least int64) {
	for _, r := range rates {
		if r > 0 && (least == 0 || r < least) {
			least = r
		}
	}
	return least
}

// nodeAppeared leaves word that a node is heard that was not. It never blocks.
func (s *steering) nodeAppeared() {
	select {
	case s.appeared <- struct{}{}:
	default: // there is word already
	}
}

// run looks at the cluster until ctx ends, by what livesync says of itself and the nodes that it hears.
func (s *steering) run(ctx context.Context, status func() livesync.Status) error {
	ticker := time.NewTicker(steerInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.appeared:
		}
		st := status()
		s.look(time.Now(), st.Nodes, st.Trouble == "")
	}
}

// look takes in which nodes are heard, and makes this node's share of the uplink anew. One that is cut off from the group hears
// nobody and knows nothing: the members stay those there were.
func (s *steering) look(now time.Time, nodes []livesync.NodeStatus, joined bool) {
	for _, o := range nodes {
		s.siblings.Heard(o.LastHeard, o.Address.Addr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uplink == nil {
		return
	}
	members := map[string]pacer.Member{self: s.self()}
	for _, o := range nodes {
		if m, ok := s.member(now, &o); ok {
			members[o.ID.String()] = m
		}
	}
	equalize(members)
	if joined {
		s.uplink.SetMembers(now, members)
	}
	if err := s.applyLocked(now); err != nil {
		s.log.Error().Err(err).Msg("the rate stays as it is")
	}
}

// self returns what this node is to the uplink.
func (s *steering) self() pacer.Member {
	return pacer.Member{Role: s.cfg.role, Capacity: capacity(s.cfg)}
}

// capacity is what a node can do beside the others: the announces a second that it can serve, 0 when nobody said.
func capacity(cfg *config) uint64 { return uint64(cfg.announceRate) }

// member returns what another node is to the uplink; ok is false when it is gone. Without a cluster key nobody tells its role and
// capacity: all are active and equal.
func (s *steering) member(now time.Time, o *livesync.NodeStatus) (m pacer.Member, ok bool) {
	up, known := s.siblings.Look(now, o.Address.Addr())
	m = pacer.Member{Role: min(pacer.Role(o.Member.Role), pacer.Backup), Capacity: o.Member.Capacity}
	switch {
	case o.Bye:
		return m, false
	case now.Sub(o.LastHeard) >= livesync.AbsentAfter*s.cfg.beaconInterval:
		return m, known && up
	}
	m.Down = known && !up || o.Member.Health == wire.Draining
	return m, true
}

// equalize makes all capacities equal unless every member says its own: nobody knows what those can do that say nothing.
func equalize(members map[string]pacer.Member) {
	for _, m := range members {
		if m.Capacity == 0 {
			for id, m := range members {
				m.Capacity = 0
				members[id] = m
			}
			return
		}
	}
}

// applyLocked puts the least rate in force.
func (s *steering) applyLocked(now time.Time) error {
	rate := leastRate(s.cfg.rate, s.shareLocked(now), s.limit)
	if err := s.pacing.SetRate(now, rate); err != nil {
		return err
	}
	if rate != s.rate {
		s.log.Debug().Int64("bytes_per_second", rate).Msg("another rate is in force")
	}
	s.rate = rate
	return nil
}

// shareLocked returns this node's share of the uplink, 0 when it is not shared.
func (s *steering) shareLocked(now time.Time) int64 {
	if s.uplink == nil {
		return 0
	}
	return s.uplink.Share(now)
}

// setLimit asks for a hard limit, in bytes a second; 0 takes it away. After an error the limit is as it was. Where nothing
// was paced, something is until it is taken away.
func (s *steering) setLimit(now time.Time, limit int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.limit
	s.limit = limit
	if err := s.applyLocked(now); err != nil {
		s.limit = was
		return err
	}
	s.paceLocked(limit > 0 || s.cfg.paced())
	if limit > 0 {
		s.pacing.Recorder().RequestHardLimit(uint64(limit))
	} else {
		s.pacing.Recorder().ClearHardLimit()
	}
	return nil
}

// setUplink changes what all nodes may send together, where that is shared: less holds at once, more when it has stood for the
// hold-down, by which the other nodes were told the same. After an error nothing has changed.
func (s *steering) setUplink(now time.Time, total int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.total
	s.uplink.SetTotal(now, total)
	s.total = total
	err := s.applyLocked(now)
	if err != nil {
		s.uplink.SetTotal(now, was)
		s.total = was
	}
	return err
}

// setClasses puts other classes in force; an error names what is wrong and changes nothing.
func (s *steering) setClasses(now time.Time, list []pacer.Class) error {
	if !s.cfg.paced() {
		return errors.New("nothing is paced: rate, uplink and announce-rate need a restart")
	}
	return s.pacing.SetClasses(now, list)
}

// hasRoom reports whether this node can take the clients of others: not while it answers its own with less than everything.
func (s *steering) hasRoom(now time.Time) bool { return roomAfter(now, s.pacing.Less()) }

// roomAfter reports whether a node has room that last ran out of tokens at a time; zero: it never did. A time far ahead is from
// before the clock was set back.
func roomAfter(now, less time.Time) bool {
	ago := now.Sub(less)
	return less.IsZero() || ago >= fullMemory || ago < -fullMemory
}

// uplinkState is what there is to see of the uplink.
type uplinkState struct {
	paces              bool
	rate, limit, share int64
	total              int64     // of which share is a part
	grows              time.Time // when the share does next; zero: not while nothing changes
	members            map[string]pacer.Member
}

// state returns what is in force now.
func (s *steering) state(now time.Time) uplinkState {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := uplinkState{paces: s.paces, rate: s.rate, limit: s.limit, share: s.shareLocked(now), total: s.total}
	if s.uplink != nil {
		st.members = s.uplink.Members()
		if at, ok := s.uplink.Next(now); ok {
			st.grows = at
		}
	}
	return st
}

// answers returns how many requests were answered by each step of the ladder, nothing while nothing is paced.
func (s *steering) answers(now time.Time) map[string]uint64 {
	if !s.state(now).paces {
		return nil
	}
	return s.pacing.Stats(now).Steps
}
