package ondemand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"starling/tracker"
)

// testStart is when the trackers of these tests are made.
var testStart = time.Unix(1_000_000_000, 0)

// makeIdle makes a tracker whose loop only waits for the end.
func makeIdle(e Entry) Instance {
	return Instance{
		Entry:   e,
		Tracker: tracker.New(tracker.Config{Shards: 1}, testStart),
		Run:     func(ctx context.Context) error { <-ctx.Done(); return nil },
	}
}

// open opens the registry of a state directory; what it logs goes to log.
func open(t *testing.T, stateDir string, log *bytes.Buffer) *Registry {
	t.Helper()
	cfg := Config{StateDir: stateDir, MainPort: 9696, Make: makeIdle}
	if log != nil {
		cfg.Log = zerolog.New(log)
	}
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// running runs the registry until the test ends, which must not be an error.
func running(t *testing.T, r *Registry) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func mustPut(t *testing.T, r *Registry, e Entry) {
	t.Helper()
	if _, err := r.Put(t.Context(), e); err != nil {
		t.Fatalf("%+v: %v", e, err)
	}
}

// names returns what the registry serves: name@host:port of each.
func names(r *Registry) string {
	var all []string
	for _, in := range r.All() {
		all = append(all, fmt.Sprintf("%s@%s:%d", in.Name, in.Hostname, in.Port))
	}
	return strings.Join(all, " ")
}

// TestRouting: a host with a port beats the host alone, and what no entry has is the server's own.
func TestRouting(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	if r.Route([]byte("films.example")) != nil {
		t.Error("a route without an entry")
	}
	before := r.table.Load()
	for _, e := range []Entry{{"any", "films.example", 0}, {"one", "films.example", 6969}, {"eighty", "cats.example", 80}, {"six", "2001:db8::1", 0}} {
		mustPut(t, r, e)
	}
	if len(before.byName) != 0 || len(before.byHost) != 0 {
		t.Error("a table that requests look at was written to")
	}
	for host, want := range map[string]string{
		"films.example": "any", "FILMS.Example.:80": "any", "films.example:6969": "one", "films.example:6970": "any",
		"cats.example": "eighty", "cats.example:80": "eighty", "cats.example:": "eighty", "cats.example:81": "",
		"[2001:DB8::1]:7": "six", "2001:db8::1": "", "example": "", "x.films.example": "", "": "", ":80": "", "films.example:x": "",
	} {
		var found string
		for _, in := range r.All() {
			if in.Tracker == r.Route([]byte(host)) {
				found = in.Name
			}
		}
		if found != want {
			t.Errorf("%q: routed to %q, want %q", host, found, want)
		}
	}
	header := []byte("Films.Example:6969")
	if n := testing.AllocsPerRun(100, func() { r.Route(header) }); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// TestRestart: what was made, changed and removed is so after a restart; a crash's left-overs go.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, nil)
	end := running(t, r)
	mustPut(t, r, Entry{"a", "a.example", 0})
	mustPut(t, r, Entry{"b", "b.example", 80})
	mustPut(t, r, Entry{"c", "c.example", 0})
	before, _ := r.Get("a")
	mustPut(t, r, Entry{"a", "new.example", 7})
	if after, ok := r.Get("a"); !ok || after.Tracker != before.Tracker {
		t.Error("a new host has cost the swarms")
	}
	if err := r.Delete(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	if err := r.Delete(t.Context(), "b"); err != ErrUnknown {
		t.Errorf("deleted twice: %v", err)
	}
	end()
	if _, err := r.Put(t.Context(), Entry{"d", "d", 0}); err != ErrEnded {
		t.Errorf("made at the end: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Directory, "123"+temporary), []byte("[ond"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The name of a file does not matter.
	if err := os.Rename(filepath.Join(dir, Directory, "c.toml"), filepath.Join(dir, Directory, "anything")); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, nil)
	if got, want := names(again), "a@new.example:7 c@c.example:0"; got != want {
		t.Errorf("after a restart: %s, want %s", got, want)
	}
	mustPut(t, again, Entry{"c", "other.example", 0})
	if got := fmt.Sprint(list(t, filepath.Join(dir, Directory))); got != "[a.toml anything]" {
		t.Errorf("files %s", got)
	}
}

// TestDamagedFiles are named and put aside once; the others are served.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	files := filepath.Join(dir, Directory)
	for name, text := range map[string]string{
		"good.toml":  Entry{"good", "good.example", 0}.text(),
		"half.toml":  "[ondemand]\nname = \"ha",
		"empty":      "",
		"z.toml":     Entry{"good", "again.example", 0}.text(), // called as good is
		"x.toml":     "[ondemand]\nname = \"x\"\nhostname = \"a:80\"\n",
		"x.damaged":  "from the last time",
		"half.toml~": "\xff\xfe",
	} {
		if err := os.MkdirAll(files, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(files, "directory.toml"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if got := names(open(t, dir, &log)); got != "good@good.example:0" {
		t.Errorf("served: %s", got)
	}
	for _, name := range []string{"half.toml", "empty", "z.toml", "x.toml", "half.toml~"} {
		if !strings.Contains(log.String(), filepath.Join(files, name)+`"`) {
			t.Errorf("%s is not named in %s", name, &log)
		}
	}
	if got := strings.Count(log.String(), "put aside"); got != 5 {
		t.Errorf("%d files put aside:\n%s", got, &log)
	}
	const want = "[directory.toml empty.damaged good.toml half.toml.damaged half.toml~.damaged x.damaged x.toml.damaged z.toml.damaged]"
	if got := fmt.Sprint(list(t, files)); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	log.Reset()
	open(t, dir, &log)
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "directory.toml") {
		t.Errorf("at the next start: %s", &log)
	}
}

// twoOnOnePort returns two names that sync on one port.
func twoOnOnePort() (a, b string) {
	seen := make(map[uint16]string)
	for i := 0; ; i++ {
		name := fmt.Sprintf("n%d", i)
		if other, ok := seen[GroupPort(name)]; ok {
			return other, name
		}
		seen[GroupPort(name)] = name
	}
}

// TestConflicts: what cannot be beside another is refused by name and changes nothing, at a start too.
func TestConflicts(t *testing.T) {
	dir := t.TempDir()
	a, b := twoOnOnePort()
	r := open(t, dir, nil)
	mustPut(t, r, Entry{a, "a.example", 0})
	mustPut(t, r, Entry{"other", "other.example", 80})
	refused := func(r *Registry, e Entry, word string) {
		t.Helper()
		before := names(r)
		var conflict *ConflictError
		if _, err := r.Put(t.Context(), e); !errors.As(err, &conflict) || !strings.Contains(err.Error(), word) {
			t.Errorf("%+v: %v, want a conflict with %s", e, err, word)
		}
		if got := names(r); got != before {
			t.Errorf("%+v: refused, and now there is %s", e, got)
		}
	}
	refused(r, Entry{b, "b.example", 0}, a)
	refused(r, Entry{"x", "A.example.", 0}, a)
	refused(r, Entry{"x", "other.example", 80}, "other")
	refused(r, Entry{a, "other.example", 80}, "other") // a change
	mustPut(t, r, Entry{"x", "other.example", 0})      // another port
	if got := fmt.Sprint(list(t, filepath.Join(dir, Directory))); got != fmt.Sprintf("[%s.toml other.toml x.toml]", a) {
		t.Errorf("files %s", got)
	}

	// The port of the node's own group is taken, too: the file stays, and may be removed.
	var log bytes.Buffer
	onPort, err := Open(Config{StateDir: dir, MainPort: GroupPort(a), Make: makeIdle, Log: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(onPort); strings.Contains(got, a) || !strings.Contains(log.String(), a+".toml") {
		t.Errorf("served %s, logged %s", got, &log)
	}
	refused(onPort, Entry{b, "b.example", 0}, "own tracker")
	if err := onPort.Delete(t.Context(), a); err != nil {
		t.Error(err)
	}
	mustPut(t, open(t, dir, nil), Entry{b, "b.example", 0})
}

// TestTooMany: there is a bound, and those that are there can still be changed.
func TestTooMany(t *testing.T) {
	r := open(t, t.TempDir(), nil)
	full := make(map[string]*instance)
	for i := range maxTrackers {
		name := fmt.Sprint("t", i)
		full[name] = &instance{Instance: makeIdle(Entry{name, name, 0}), loop: new(loop)}
	}
	r.table.Store(newTable(full))
	var conflict *ConflictError
	if _, err := r.Put(t.Context(), Entry{"one-more", "one.more", 0}); !errors.As(err, &conflict) || !strings.Contains(err.Error(), fmt.Sprint(maxTrackers)) {
		t.Errorf("one more: %v", err)
	}
}

// TestDiskFails: what cannot be kept is not served, and what cannot be removed is.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{StateDir: filepath.Join(dir, "file"), Make: makeIdle}); err == nil {
		t.Error("a file was opened as the state directory")
	}
	r := open(t, dir, nil)
	mustPut(t, r, Entry{"a", "a.example", 0})
	path := filepath.Join(dir, Directory, "a.toml")
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), "a"); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("removed: %v", err)
	}
	if _, err := r.Put(t.Context(), Entry{"a", "b.example", 0}); err == nil {
		t.Error("changed without a file")
	}
	if got := names(r); got != "a@a.example:0" {
		t.Errorf("served: %s", got)
	}
	if got := fmt.Sprint(list(t, filepath.Join(dir, Directory))); got != "[a.toml]" {
		t.Errorf("files %s", got)
	}
}

// TestRequestsDoNotWait: while a change is stuck, requests and listings go on, another
// change gives up when its time is over, and neither of them was half done.
func TestRequestsDoNotWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r, err := Open(Config{StateDir: dir, Make: func(e Entry) Instance {
			if e.Name == "stuck" {
				<-stuck
			}
			return makeIdle(e)
		}})
		if err != nil {
			t.Fatal(err)
		}
		end := running(t, r)
		mustPut(t, r, Entry{"a", "a", 0})
		put := make(chan error, 1)
		go func() {
			_, err := r.Put(t.Context(), Entry{"stuck", "stuck", 0})
			put <- err
		}()
		synctest.Wait()
		if got := names(r); got != "a@a:0" || r.Route([]byte("a")) == nil || r.Route([]byte("stuck")) != nil {
			t.Errorf("meanwhile: %s", got)
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Delete(soon, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v", err)
		}
		close(stuck)
		if err := <-put; err != nil {
			t.Error(err)
		}
		if got := names(r); got != "a@a:0 stuck@stuck:0" {
			t.Errorf("at the end: %s", got)
		}
		end()
	})
}

// TestLoops: each tracker's loop begins with it or with Run, ends before Delete
// and Run return, and one that fails ends all.
func TestLoops(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var present [3]struct{ begun, ended bool }
		fails := make(chan error)
		r, err := Open(Config{StateDir: dir, Make: func(e Entry) Instance {
			in, now := makeIdle(e), &present[e.Name[0]-'a']
			in.Run = func(ctx context.Context) error {
				now.begun = true
				defer func() { now.ended = true }()
				select {
				case <-ctx.Done():
					<-time.After(time.Minute) // its last batch
					return nil
				case err := <-fails:
					return err
				}
			}
			return in
		}})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, r, Entry{"a", "a", 0})
		if synctest.Wait(); present[0].begun {
			t.Error("a runs before Run")
		}
		done := make(chan error)
		go func() { done <- r.Run(t.Context()) }()
		synctest.Wait()
		mustPut(t, r, Entry{"b", "b", 0})
		mustPut(t, r, Entry{"c", "c", 0})
		mustPut(t, r, Entry{"c", "changed", 0})
		if synctest.Wait(); !present[0].begun || !present[1].begun || !present[2].begun {
			t.Errorf("running: %v", present)
		}
		if err := r.Delete(t.Context(), "c"); err != nil || !present[2].ended {
			t.Errorf("Delete: %v, %v", err, present)
		}
		fails <- errors.New("no more")
		err = <-done
		if err == nil || !strings.Contains(err.Error(), "no more") || !strings.Contains(err.Error(), "tracker ") {
			t.Errorf("Run: %v", err)
		}
		if !present[0].ended || !present[1].ended {
			t.Errorf("Run has returned, and running are %v", present)
		}
	})
}
