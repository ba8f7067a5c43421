package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync/edits"
	"starling/tracker"
	"starling/tracker/access"
	"starling/wire"
)

const (
	// pollLists is how often it is looked whether a file of a list is another.
	pollLists = 2 * time.Second
	// purgeSingly is how many torrents are purged one by one; for more the whole store is gone through.
	purgeSingly = 1024
)

// lists are what is served and to whom: the files, the changes beside them that came through the API of any node, and the trackers that they are in force on.
//
//	files  --- every 2 s, SIGHUP ---+
//	                                +--> access.Lists --> rules --> every tracker, and what became forbidden is purged
//	machine (API, other nodes) -----+
//	   '--> the state directory: lists.edits, audit.log
type lists struct {
	log     zerolog.Logger
	events  *events
	machine *edits.Machine
	jailed  func(now time.Time, e *edits.Entry) // is told who is in the jail of another node; nil: nobody heeds it
	access  access.Lists

	// reading is held while files are read, which may take seconds: one reader at a time, lest there be a third copy of them in memory. It is taken before mu.
	reading sync.Mutex

	mu       sync.Mutex   // guards the rest
	files    []*listFile  // changed with both locks held, read with either
	has      access.Files // likewise
	rules    *access.Rules
	trackers map[*tracker.Tracker]bool
	kept     *editFile // nil: there is no state directory
	audit    *auditLog // likewise
	loading  bool      // what comes was kept, or cannot be told apart from that
	faults   uint64    // files that were wrong when they were read again
	unkept   uint64    // changes that could not be written
}

// listNames are the kinds of list as the API has them.
var listNames = map[edits.Kind]string{edits.Deny: "deny", edits.Allow: "allow", edits.Client: "deny-client", edits.Passkey: "passkeys"}

// newLists reads the files and what was kept. The error is one a user can mend.
func newLists(cfg *config, log zerolog.Logger, ev *events) (*lists, error) {
	most := map[edits.Kind]int{edits.Jail: maxShared}
	for kind := range listNames {
		most[kind] = edits.DefaultMost
	}
	l := &lists{
		log: log, events: ev, trackers: make(map[*tracker.Tracker]bool),
		machine: edits.New(most, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
	}
	u, faults := readLists(cfg)
	if len(faults) > 0 {
		return nil, faults[0]
	}
	l.files, l.has = u.files, u.has
	l.rules = l.access.SetFiles(l.has)
	if cfg.stateDir == "" {
		return l, nil
	}
	path := filepath.Join(cfg.stateDir, "lists.edits")
	removeLeftovers(path)
	now := time.Now()
	var err error
	if l.kept, err = openEditFile(path, func(es []edits.Entry) { l.machine.Load(now, es) }); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.where("state-dir"), err)
	}
	if n := l.machine.Counts().Future; n > 0 {
		l.log.Error().Uint64("changes", n).Str("file", path).Time("clock", now).
			Msg("changes of the lists are of a day to come and not in force: the clock of this host is wrong, or was; start again when it is right")
	}
	l.audit = &auditLog{filepath.Join(cfg.stateDir, "audit.log")}
	l.loading = true
	l.apply(now)
	l.loading = false
	return l, nil
}

// close gives the file back.
func (l *lists) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept != nil {
		l.kept.f.Close()
		l.kept = nil
	}
}

// adopt puts the rules in force on a tracker, now and whenever they change.
func (l *lists) adopt(t *tracker.Tracker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trackers[t] = true
	t.SetAccess(l.rules)
}

// drop is told that a tracker has ended.
func (l *lists) drop(t *tracker.Tracker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.trackers, t)
}

// run puts in force what other nodes change and what files say, until ctx ends. It does not wait long then for a file that is being read.
func (l *lists) run(ctx context.Context) error {
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		l.poll(ctx)
	}()
	expire := time.NewTicker(pollLists)
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			select {
			case <-polled:
			case <-time.After(reloadPatience):
			}
			return nil
		case <-l.machine.Changed():
			l.apply(time.Now())
		case <-expire.C:
			now := time.Now()
			for due := now; !due.IsZero() && !due.After(now); {
				due = l.machine.Expire(now)
			}
		}
	}
}

// poll looks for other files until ctx ends.
func (l *lists) poll(ctx context.Context) {
	ticker := time.NewTicker(pollLists)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.reread(time.Now())
		}
	}
}

// edit makes a change here, puts it in force, keeps it and sends it. Kept is false when it could not be written.
func (l *lists) edit(now time.Time, node wire.NodeID, e edits.Entry, who *auditor) (done edits.Entry, kept bool, err error) {
	l.mu.Lock() // else another request or run would take the change, and the audit log would name somebody else for it, or nobody
	defer l.mu.Unlock()
	l.applyOf(now, nil, nil)
	es, err := l.machine.Edit(now, node, e)
	if err != nil {
		return e, false, err
	}
	return es[0], l.applyOf(now, who, &es[0]), nil
}

// apply puts in force what has changed.
func (l *lists) apply(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applyOf(now, nil, nil)
}

// applyOf does that; if one of the changes was made here, it is who's. It reports whether all is on the disk. The caller holds l.mu.
func (l *lists) applyOf(now time.Time, who *auditor, made *edits.Entry) (kept bool) {
	es, all := l.machine.Changes()
	if es = l.heedJail(now, es); len(es) == 0 && !all {
		return l.kept != nil
	}
	inForce := es
	if all {
		inForce = l.everything()
	}
	changes, hashes := editsOf(now, inForce)
	l.rules = l.access.Edit(changes)
	l.enforce(now, hashes)
	if l.loading {
		return false
	}
	return l.keep(now, es, all, who, made)
}

// everything returns all entries. The caller holds l.mu.
func (l *lists) everything() (es []edits.Entry) {
	l.each(func(e *edits.Entry) { es = append(es, *e) })
	return es
}

// each calls do with all entries.
func (l *lists) each(do func(*edits.Entry)) {
	const many = 1000
	for kind := range listNames {
		page := l.machine.Page(kind, nil, many)
		for len(page) > 0 {
			for i := range page {
				do(&page[i])
			}
			page = l.machine.Page(kind, &page[len(page)-1].Key, many)
		}
	}
}

// enforce puts the rules in force on all trackers and purges what they forbid: of the torrents given, nil for all. The caller holds l.mu.
func (l *lists) enforce(now time.Time, hashes []wire.InfoHash) {
	for t := range l.trackers {
		t.SetAccess(l.rules)
		if len(hashes) > purgeSingly || hashes == nil {
			t.PurgeAll(now)
			continue
		}
		for _, h := range hashes {
			t.Purge(now, h)
		}
	}
}

// keep writes changes to the disk and to the audit log; with all there were more than these. The caller holds l.mu.
func (l *lists) keep(now time.Time, es []edits.Entry, all bool, who *auditor, made *edits.Entry) bool {
	fresh := slices.DeleteFunc(es, func(e edits.Entry) bool { return e.Ended(now) }) // which they said before
	lines := make([]auditLine, len(fresh))
	for i := range fresh {
		var by *auditor
		if made != nil && fresh[i] == *made {
			by = who
		}
		lines[i] = auditLineOf(&fresh[i], by)
	}
	l.say(now, lines, all)
	if l.kept == nil {
		return false
	}
	if all {
		lines = append(lines, auditLine{Time: now.UTC(), Op: "more", Reason: "other nodes told so many changes at once that only the first are here; lists.edits has them all"})
	}
	err := l.write(fresh, all)
	if err != nil {
		l.unkept += uint64(len(fresh))
		l.log.Error().Err(err).Str("file", l.kept.path).Msg("changes of the lists could not be kept: a restart forgets them, unless other nodes know them")
	}
	if wrong := l.audit.add(lines); wrong != nil {
		l.log.Error().Err(wrong).Str("file", l.audit.path).Msg("changes of the lists could not be written to the audit log")
		err = errors.Join(err, wrong)
	}
	return err == nil
}

// write puts changes on the disk, or everything. The caller holds l.mu.
func (l *lists) write(fresh []edits.Entry, all bool) error {
	if all {
		return l.kept.rewrite(l.each)
	}
	if err := l.kept.add(fresh); err != nil {
		return err
	}
	if l.kept.worn(l.entries()) {
		if err := l.kept.rewrite(l.each); err != nil {
			l.log.Warn().Err(err).Str("file", l.kept.path).Msg("the changes of the lists could not be written anew: the file grows")
		}
	}
	return nil
}

// sayEach is how many changes that come together are named in the log one by one.
const sayEach = 16

// say tells the operator of changes. The caller holds l.mu.
func (l *lists) say(now time.Time, lines []auditLine, all bool) {
	if len(lines) > sayEach || all {
		l.log.Info().Int("changes", len(lines)).Bool("and_more", all).Msg("lists were changed, most of it by other nodes")
		l.events.add(now, eventList, fmt.Sprintf("%d changes of lists at once", len(lines)))
		return
	}
	for i := range lines {
		x := &lines[i]
		l.log.Info().Str("list", x.List).Str("op", x.Op).Str("key", x.Key).Str("node", x.Node).Msg("a list was changed")
		l.events.add(now, eventList, fmt.Sprintf("%s: %s %s, by node %s", x.List, x.Op, x.Key, x.Node))
	}
}

// entries returns how many entries there are.
func (l *lists) entries() (n int) {
	for kind := range listNames {
		n += l.machine.Len(kind)
	}
	return n
}

// editsOf returns what entries mean to the lists, and the torrents that they are about.
func editsOf(now time.Time, es []edits.Entry) (x access.Edits, hashes []wire.InfoHash) {
	x = access.Edits{
		Allow: make(map[wire.InfoHash]access.Op), Deny: make(map[wire.InfoHash]access.Op),
		Clients: make(map[netip.Prefix]access.Op), Keys: make(map[access.Digest]access.KeyEdit),
	}
	hashes = []wire.InfoHash{}
	for i := range es {
		e := &es[i]
		op := access.Added
		switch {
		case e.Ended(now):
			op = access.None
		case e.Op == edits.Remove:
			op = access.Removed
		}
		switch e.Kind {
		case edits.Deny:
			x.Deny[wire.InfoHash(e.Key)] = op
			hashes = append(hashes, wire.InfoHash(e.Key))
		case edits.Allow:
			x.Allow[wire.InfoHash(e.Key)] = op
			hashes = append(hashes, wire.InfoHash(e.Key))
		case edits.Client:
			if p, ok := edits.Prefix(e.Key); ok {
				x.Clients[p] = op
			}
		case edits.Passkey:
			x.Keys[access.Digest(e.Key)] = access.KeyEdit{Key: access.Key{Name: e.Reason, Until: e.End}, Op: op}
		}
	}
	return x, hashes
}
