package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"starling/tracker/access"
)

// listFile is a file of a list.
type listFile struct {
	flag, path string
	list       string // what it is a list of
	load       func(path string, into *access.Files) (entries int, stamp access.Stamp, err error)

	entries int          // guarded as lists.files is
	stamp   access.Stamp // of what is in force, or was refused; whoever holds lists.reading has it
	seen    access.Stamp // when it was looked at last, likewise
}

// listFiles returns the files that a configuration names.
func listFiles(cfg *config) (files []*listFile) {
	for _, f := range []listFile{
		{flag: "deny", path: cfg.deny, list: "denied torrents", load: func(path string, into *access.Files) (int, access.Stamp, error) {
			h, stamp, err := access.ReadHashes(path)
			into.Deny = h
			return h.Len(), stamp, err
		}},
		{flag: "allow", path: cfg.allow, list: "allowed torrents", load: func(path string, into *access.Files) (int, access.Stamp, error) {
			h, stamp, err := access.ReadHashes(path)
			into.Allow = h
			return h.Len(), stamp, err
		}},
		{flag: "deny-client", path: cfg.denyClient, list: "denied clients", load: func(path string, into *access.Files) (int, access.Stamp, error) {
			all, stamp, err := access.ReadPrefixes(path)
			into.Clients = all
			return all.Len(), stamp, err
		}},
		{flag: "passkeys", path: cfg.passkeys, list: "passkeys", load: func(path string, into *access.Files) (int, access.Stamp, error) {
			k, stamp, err := access.ReadKeys(path)
			into.Keys = k
			return k.Len(), stamp, err
		}},
	} {
		if f.path != "" {
			files = append(files, &f)
		}
	}
	return files
}

// read reads the file again into what all files say. When it is wrong, that stays as it was.
func (f *listFile) read(has *access.Files) error {
	is := *has
	entries, stamp, err := f.load(f.path, &is)
	if err != nil {
		return err
	}
	f.entries, f.stamp, f.seen = entries, stamp, stamp
	*has = is
	return nil
}

// due reports whether the file is another, and has been the same for a while: nobody writes to it any more. One that is not there waits until it is.
func (f *listFile) due() bool {
	stamp, err := access.StampOf(f.path)
	if err != nil {
		return false
	}
	settled := stamp == f.seen
	f.seen = stamp
	return settled && stamp != f.stamp
}

// reread reads the files that are others than they were, and puts them in force. A file that is wrong changes nothing. While somebody else reads them
// there is nothing to be done. What takes long is done while others may change the lists.
func (l *lists) reread(now time.Time) {
	if !l.reading.TryLock() {
		return
	}
	defer l.reading.Unlock()
	for _, f := range l.files {
		if f.due() {
			l.rereadFile(now, f)
		}
	}
}

// rereadFile does that with a file. The caller holds l.reading.
func (l *lists) rereadFile(now time.Time, f *listFile) {
	began, is, has := time.Now(), *f, l.has
	err := is.read(&has)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !errors.Is(err, access.ErrChanging) {
			f.stamp = f.seen // it is not read again before it is another one
		}
		l.faults++
		l.log.Error().Err(err).Str("flag", "--"+f.flag).Msg("a list was read again and is wrong: the one that was read before stays in force")
		l.events.add(now, eventNoReload, fmt.Sprintf("--%s: %v: the list that was read before stays in force", f.flag, err))
		return
	}
	*f, l.has = is, has
	l.tell(now, f, time.Since(began))
	l.rules = l.access.SetFiles(l.has)
	l.enforce(now, nil)
}

// tell says that a file was read again.
func (l *lists) tell(now time.Time, f *listFile, took time.Duration) {
	l.log.Info().Str("file", f.path).Int("entries", f.entries).Dur("ms", took).Msgf("the list of %s was read again", f.list)
	l.events.add(now, eventList, fmt.Sprintf("the list of %s was read again: %d entries in %s", f.list, f.entries, filepath.Base(f.path)))
}

// A listUpdate is what the files of a configuration say, read and not yet in force.
type listUpdate struct {
	files []*listFile
	has   access.Files
	took  time.Duration
}

// readLists reads all files that a configuration names. It returns every error there is.
func readLists(cfg *config) (u listUpdate, faults []error) {
	began := time.Now()
	u.files = listFiles(cfg)
	for _, f := range u.files {
		if err := f.read(&u.has); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", cfg.where(f.flag), err))
		}
	}
	u.took = time.Since(began)
	return u, faults
}

// replace puts in force what was read, and says of each file that is another one, or was not there before, or is no list any more. The caller holds
// l.reading since before it read.
func (l *lists) replace(now time.Time, u listUpdate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, changed := l.files, false
	for _, f := range was {
		if !slices.ContainsFunc(u.files, func(g *listFile) bool { return g.flag == f.flag }) {
			changed = true
			l.log.Info().Str("file", f.path).Msgf("there is no file of %s any more", f.list)
			l.events.add(now, eventList, fmt.Sprintf("there is no file of %s any more", f.list))
		}
	}
	for _, f := range u.files {
		i := slices.IndexFunc(was, func(g *listFile) bool { return g.flag == f.flag })
		if i < 0 || was[i].path != f.path || was[i].stamp != f.stamp {
			changed = true
			l.tell(now, f, u.took)
		}
	}
	if !changed {
		return
	}
	l.files, l.has = u.files, u.has
	l.rules = l.access.SetFiles(l.has)
	l.enforce(now, nil)
}

// fileOf returns path and entries of the file behind a flag as it is now, and no stamps, which belong to whoever holds l.reading; ok is false
// when there is none.
func (l *lists) fileOf(flag string) (f listFile, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		if f.flag == flag {
			return listFile{path: f.path, entries: f.entries}, true
		}
	}
	return f, false
}
