package ondemand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"starling/tracker"
)

// Directory is the name of the directory with the files, below the state directory.
const Directory = "directors-ondemand"

// maxTrackers bounds how many there are: each takes two sockets and some goroutines.
const maxTrackers = 256

// Config is what a [Registry] needs to know.
type Config struct {
	// StateDir holds [Directory]. It must exist.
	StateDir string
	// MainPort is the port of the group on which the program's own tracker syncs; no other may have it. 0: it does not sync.
	MainPort uint16
	// Make returns the tracker of an entry and the loop that keeps it and tells the other nodes, which ends
	// with its context. It must start nothing; sockets that it opens are the loop's.
	Make func(e Entry) Instance
	// Log receives what an operator should know.
	Log zerolog.Logger
}

// An Instance is an entry with the tracker that was made for it.
type Instance struct {
	Entry
	Tracker *tracker.Tracker
	Run     func(ctx context.Context) error
	// Sync tells how the tracker gets on with those of the same name.
	Sync func() Sync
}

// Sync is how a tracker gets on with those of the same name on other nodes.
type Sync struct {
	Group   string `json:"group"`             // address and port
	State   string `json:"state"`             // as livesync's status has it
	Trouble string `json:"trouble,omitempty"` // why the group is not joined
	Nodes   int    `json:"nodes"`             // others heard
}

// Registry holds the on-demand trackers. Its methods may be called at any time by any goroutine.
type Registry struct {
	cfg   Config
	dir   directory
	table atomic.Pointer[table]

	change  chan struct{}     // holds a token while nobody changes anything; guards what follows
	paths   map[string]string // by name: the file of every entry, those that are not served too
	ctx     context.Context   // of the loops; nil: Run has not begun
	fail    context.CancelCauseFunc
	running sync.WaitGroup
}

// instance is one that may run. Of a replaced one, all but the entry goes on.
type instance struct {
	Instance
	loop *loop
}

// loop is the running of an instance; zero before that.
type loop struct {
	end  context.CancelFunc
	done chan struct{}
}

// A ConflictError is an entry that cannot be beside one that is there.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

// Errors of a change.
var (
	// ErrUnknown says that there is no such tracker.
	ErrUnknown = errors.New("no such tracker")
	// ErrEnded says that the program ends.
	ErrEnded = errors.New("the program ends")
)

// Open reads the files and makes the trackers, which [Registry.Run] starts. The
// error is about the directory as a whole; single files are put aside or left out.
func Open(cfg Config) (*Registry, error) {
	r := &Registry{
		cfg: cfg, dir: directory(filepath.Join(cfg.StateDir, Directory)),
		change: make(chan struct{}, 1), paths: make(map[string]string),
	}
	r.change <- struct{}{}
	all, troubles, err := r.dir.load()
	if err != nil {
		return nil, err
	}
	served := make(map[string]*instance)
	r.table.Store(newTable(served))
	for _, k := range all {
		if other, double := r.paths[k.Name]; double {
			troubles = append(troubles, trouble{k.path, fmt.Errorf("%w: it is called %s, as %s is", errDamaged, k.Name, other)})
			continue
		}
		r.paths[k.Name] = k.path
		if err := r.conflict(k.Entry); err != nil {
			troubles = append(troubles, trouble{k.path, err})
			continue
		}
		served[k.Name] = &instance{Instance: cfg.Make(k.Entry), loop: new(loop)}
		r.table.Store(newTable(served))
	}
	for _, t := range troubles {
		r.report(t)
	}
	return r, nil
}

// report names a file that is not served, and puts it aside when what it holds is at fault.
func (r *Registry) report(t trouble) {
	log := r.cfg.Log.Error().Str("file", t.path).AnErr("reason", t.err)
	if errors.Is(t.err, errDamaged) {
		aside, err := putAside(t.path)
		if err == nil {
			log.Str("now", aside).Msg("an on-demand tracker's file is damaged and was put aside")
			return
		}
		log = log.AnErr("put_aside", err)
	}
	log.Msg("an on-demand tracker's file is not served")
}

// Run keeps all trackers, those that are made later too, until ctx ends or one
// of them fails. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	loops, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	<-r.change
	r.ctx, r.fail = loops, fail
	for _, in := range r.table.Load().byName {
		r.start(in)
	}
	r.change <- struct{}{}

	<-loops.Done()
	<-r.change // nobody starts another one from here on
	r.running.Wait()
	r.change <- struct{}{}
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(loops)
}

// start runs an instance. The caller holds the token.
func (r *Registry) start(in *instance) {
	ctx, end := context.WithCancel(r.ctx)
	done := make(chan struct{})
	*in.loop = loop{end, done}
	r.running.Go(func() {
		defer close(done)
		if err := in.Run(ctx); err != nil {
			r.fail(fmt.Errorf("on-demand tracker %s: %w", in.Name, err))
		}
	})
}

// lock waits for the other changes. The caller gives the token back.
func (r *Registry) lock(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("another change is under way: %w", context.Cause(ctx))
	case <-r.change:
	}
	if r.ctx != nil && r.ctx.Err() != nil {
		r.change <- struct{}{}
		return ErrEnded
	}
	return nil
}

// Put makes a tracker, or gives the one of that name another host and port; its
// swarms stay. It is kept when Put returns without an error, else what is served is as it was. The
// error is an [*EntryError], a [*ConflictError], [ErrEnded], of ctx or of the disk.
func (r *Registry) Put(ctx context.Context, e Entry) (created bool, err error) {
	if e, err = e.normalized(); err != nil {
		return false, err
	}
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer func() { r.change <- struct{}{} }()
	if err := r.conflict(e); err != nil {
		return false, err
	}
	path, known := r.paths[e.Name]
	if !known {
		path = r.dir.pathFor(e.Name)
	}
	if err := r.dir.write(path, e); err != nil {
		if !known {
			os.Remove(path) // it may have its name already
		}
		return false, err
	}
	r.paths[e.Name] = path
	t := r.table.Load()
	old, served := t.byName[e.Name]
	in := new(instance)
	if served {
		*in = *old
		in.Entry = e
	} else {
		*in = instance{Instance: r.cfg.Make(e), loop: new(loop)}
		if r.ctx != nil {
			r.start(in)
		}
	}
	r.table.Store(newTable(t.with(in)))
	return !served, nil
}

// conflict says which tracker, but the one of the same name, an entry cannot be beside.
func (r *Registry) conflict(e Entry) error {
	port := GroupPort(e.Name)
	if port == r.cfg.MainPort {
		return &ConflictError{fmt.Sprintf("%s would sync on port %d, as this node's own tracker does; choose another name", e.Name, port)}
	}
	t := r.table.Load()
	if _, replaces := t.byName[e.Name]; !replaces && len(t.byName) >= maxTrackers {
		return &ConflictError{fmt.Sprintf("there are %d on-demand trackers, which is as many as there may be", maxTrackers)}
	}
	for _, o := range t.sorted() {
		if o.Name == e.Name {
			continue
		}
		if o.Hostname == e.Hostname && o.Port == e.Port {
			return &ConflictError{fmt.Sprintf("%s has that hostname and port already", o.Name)}
		}
		if GroupPort(o.Name) == port {
			return &ConflictError{fmt.Sprintf("%s would sync on port %d, as %s does; choose another name", e.Name, port, o.Name)}
		}
	}
	return nil
}

// Delete removes a tracker with its swarms and its file, and returns when it runs no
// more. The error is [ErrUnknown], [ErrEnded], of ctx or of the disk; then the tracker is as it was.
func (r *Registry) Delete(ctx context.Context, name string) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer func() { r.change <- struct{}{} }()
	path, known := r.paths[name]
	if !known {
		return ErrUnknown
	}
	if err := r.dir.remove(path); err != nil {
		return err
	}
	delete(r.paths, name)
	t := r.table.Load()
	in, served := t.byName[name]
	if !served {
		return nil
	}
	r.table.Store(newTable(t.without(name)))
	if in.loop.end != nil {
		in.loop.end()
		<-in.loop.done
	}
	return nil
}

// Get returns the tracker of a name.
func (r *Registry) Get(name string) (Instance, bool) {
	in, ok := r.table.Load().byName[name]
	if !ok {
		return Instance{}, false
	}
	return in.Instance, true
}

// All returns all trackers by name.
func (r *Registry) All() []Instance {
	sorted := r.table.Load().sorted()
	all := make([]Instance, len(sorted))
	for i, in := range sorted {
		all[i] = in.Instance
	}
	return all
}

// Route returns the tracker that a Host header is meant for, nil for none of
// these. It is a [tracker.HTTPConfig].Route and does not wait for changes.
func (r *Registry) Route(host []byte) *tracker.Tracker { return r.table.Load().route(host) }
