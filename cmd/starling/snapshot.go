package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"starling/livesync"
	"starling/livesync/catchup"
	"starling/tracker"
)

// snapshotIdle is how much longer a snapshot rests after a block than the block took: it may use a quarter of one processor.
const snapshotIdle = 3

// snapshots keeps a tracker's swarms in a file, so that a restart keeps the peers:
//
//	start      read the file, ages going on with the clock; a damaged one is named, put aside, and nothing of it is used
//	running    write it every few minutes, a block at a time, with rests
//	end        write it once more, without rests
//
// Without a state directory there is no file, and nothing of this happens.
type snapshots struct {
	path     string // empty: there is none
	every    time.Duration
	timeout  time.Duration // of peers
	tracker  *tracker.Tracker
	livesync *livesync.Node
	log      zerolog.Logger

	handing func() bool // another program is to take over; nil: never
	memory  *os.File    // the last one for it

	counts snapshotCounts
}

// snapshotsOf returns what keeps the swarms of a tracker of this node in a file of that name.
func (n *node) snapshotsOf(t *tracker.Tracker, sync *livesync.Node, name string, log zerolog.Logger) *snapshots {
	s := &snapshots{every: n.cfg.snapshotInterval, timeout: n.cfg.peerTimeout, tracker: t, livesync: sync, log: log}
	if n.cfg.stateDir != "" {
		s.path = filepath.Join(n.cfg.stateDir, name+".snapshot")
	}
	return s
}

// directorSnapshot is the name under which the swarms of an on-demand tracker are kept.
func directorSnapshot(name string) string { return "director-" + name }

// removeSnapshot forgets the swarms of a tracker that is there no more.
func (n *node) removeSnapshot(name string) {
	err := os.Remove(filepath.Join(n.cfg.stateDir, name+".snapshot"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Error().Err(err).Msg("the swarms of a tracker that was removed are still on the disk")
	}
}

// load takes in the file and lets livesync know up to when the store knows all. It goes before anything is served and before livesync runs.
// A snapshot that the last program left in memory goes before the file.
func (s *snapshots) load(now time.Time, given *handed) {
	path := s.path
	if given != nil && given.Snapshot > 0 {
		path = fmt.Sprintf("/proc/self/fd/%d", given.Snapshot)
		defer unix.Close(given.Snapshot)
	}
	if path == "" {
		return
	}
	began := time.Now()
	var header catchup.Header
	var memory catchup.Memory
	r := s.tracker.Restorer(0)
	err := catchup.LoadSnapshot(path, func(b *catchup.Block) {
		header = *b.Header
		late := now.Sub(header.Time.Add(b.At))
		memory.Take(late, b)
		if b.Excerpt != nil {
			r.Restore(now, late, b.Excerpt)
		}
	})
	var damaged *catchup.DamageError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case errors.As(err, &damaged):
		aside := path + ".damaged"
		s.log.Error().Err(err).AnErr("rename", os.Rename(path, aside)).Str("renamed_to", aside).
			Msg("the snapshot is damaged: nothing of it is used, and the file is put aside")
		return
	case err != nil:
		s.log.Error().Err(err).Msg("the snapshot cannot be read: the swarms begin empty")
		return
	}
	age := now.Sub(header.Time)
	if age < -time.Second {
		s.log.Warn().Str("file", s.path).Time("written", header.Time).Msg("the snapshot is from the future, the clock was set back: its peers count as just seen")
	}
	if age < s.timeout {
		s.livesync.Knows(now, header.Time.Add(min(age, 0)-header.Within), !header.Complete, memory)
	}
	stats := s.tracker.Stats()
	s.log.Info().Str("file", s.path).Uint64("torrents", stats.Torrents).Uint64("peers", stats.Peers4+stats.Peers6).
		Float64("age_s", seconds(age)).Dur("ms", time.Since(began)).Msg("swarms restored from the snapshot")
}

// run writes the file until ctx ends, and then once more.
func (s *snapshots) run(ctx context.Context) error {
	if s.path == "" {
		<-ctx.Done()
		return s.last()
	}
	timer := time.NewTicker(s.every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.last()
		case <-timer.C:
			s.save(func(worked time.Duration) error { return rest(ctx, snapshotIdle*worked) })
		}
	}
}

// last writes it at the end: for another program that takes over into memory, which is faster than any disk.
func (s *snapshots) last() (err error) {
	hurry := func(time.Duration) error { return nil }
	switch {
	case s.handing != nil && s.handing():
		now := time.Now()
		if s.memory, err = memoryFile("starling-snapshot"); err == nil {
			teller, _ := s.teller(now)
			_, err = catchup.WriteStream(s.memory, teller, hurry)
		}
	case s.path != "":
		s.save(hurry)
	}
	return err
}

// rest waits, or says that ctx has ended.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// save writes the file.
func (s *snapshots) save(pause func(worked time.Duration) error) {
	now := time.Now()
	teller, peers := s.teller(now)
	size, err := catchup.SaveSnapshot(s.path, teller, pause)
	switch {
	case errors.Is(err, context.Canceled): // the last one follows
	case err != nil:
		s.counts.failed.Add(1)
		s.log.Error().Err(err).Msg("the snapshot could not be written: a restart will begin with an older one, or none")
	default:
		s.counts.wrote(now, time.Since(now), size)
		s.log.Debug().Str("file", s.path).Int64("bytes", size).Uint64("peers", peers).Dur("ms", time.Since(now)).Msg("snapshot written")
	}
}

// teller returns what tells everything there is, and how many peers that is.
func (s *snapshots) teller(now time.Time) (t *catchup.Teller, peers uint64) {
	behind := s.livesync.OutOfStep(now)
	h := catchup.Header{ID: s.livesync.Status().ID, Snapshot: true, Within: behind, Complete: behind == 0}
	stats := s.tracker.Stats()
	h.Torrents, h.Peers = stats.Torrents, stats.Peers4+stats.Peers6
	return catchup.NewTeller(now, h, s.livesync.Remembers(now), walk(s.tracker, tracker.Cursor{Booked: true})), h.Peers
}
