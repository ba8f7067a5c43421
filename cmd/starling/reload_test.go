package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/tracker/pacer"
	"starling/wire"
)

// TestReload starts the program, changes its file and sends SIGHUP: good classes are in force, bad ones and bad files
// change nothing and the log says why, and what only a restart can change is named.
func TestReload(t *testing.T) {
	path := writeConfig(t, goodClasses)
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--livesync-interface", "none", "--config", path)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	admin := awaitServing(t, log).Admin
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		log.WriteTo(&strings.Builder{})
		if code := exitCode(t, cmd.Wait()); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}()
	for _, step := range []struct {
		old, new string // in goodClasses
		log      []string
		rates    []int64 // of the root and the classes, afterwards
		queue    string  // the scheduler of the second class
	}{
		{"", "", []string{"classes are as they were"}, []int64{1000, 600, 400}, "drr"},
		{`"400/s"`, "\"300/s\"\nscheduler = \"lifo\"", []string{"classes are in force"}, []int64{1000, 600, 300}, "lifo"},
		{`"400/s"`, `"401/s"`, []string{"error", "nothing changes", "first 600, other 401"}, []int64{1000, 600, 300}, "lifo"},
		{`"400/s"`, `"none"`, []string{"error", "nothing changes", path, "none"}, []int64{1000, 600, 300}, "lifo"},
		{goodClasses, `announce-rate = `, []string{"error", "nothing changes", path, "line 1"}, []int64{1000, 600, 300}, "lifo"},
		{`"other"`, `"another"`, []string{"error", "nothing changes", "another", "restart"}, []int64{1000, 600, 300}, "lifo"},
		{`"400/s"`, "\"200/s\"\nscheduler = \"fifo\"", []string{"classes are in force"}, []int64{1000, 600, 200}, "fifo"},
		{`announce-rate = "1000/s"`, "announce-rate = \"2000/s\"\nnumwant = 5", []string{"classes are in force", "warn", `["announce-rate","numwant"]`, "restart"}, []int64{1000, 600, 400}, "drr"},
		{"", "", []string{"classes are as they were"}, []int64{1000, 600, 400}, "drr"},
	} {
		if err := os.WriteFile(path, []byte(strings.Replace(goodClasses, step.old, step.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(syscall.SIGHUP)
		said := ""
		for _, words := range step.log {
			for !strings.Contains(said, words) {
				line, err := log.ReadString('\n')
				if err != nil {
					t.Fatalf("%q: the log has %q, and no %q: %v", step.new, said, words, err)
				}
				said += line
			}
		}
		want := fmt.Sprint(step.rates, step.queue)
		await(t, want, func() bool { // the status may be a moment old
			tree := nodeStatusOf(t, admin).Pacing.Trees[0]
			var rates []int64
			for _, c := range tree.Classes {
				rates = append(rates, c.Rate)
			}
			return fmt.Sprint(rates, tree.Classes[2].Queue.Scheduler) == want
		})
	}
}

// TestReloadNeverEnds: a configuration that cannot be read to its end does not keep the program from ending.
func TestReloadNeverEnds(t *testing.T) {
	n := testNode(t, nil)
	reading, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	stop := n.reloadOnHangup(func() (*config, error) {
		close(reading)
		<-end
		return nil, errors.New("never")
	})
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-reading
	began := time.Now()
	if stop(); time.Since(began) > 10*reloadPatience {
		t.Errorf("it took %v", time.Since(began))
	}
}

// TestReloadNothing: without a file, and for a node that paces nothing, SIGHUP is no harm.
func TestReloadNothing(t *testing.T) {
	n := testNode(t, nil)
	n.reload(resolve(fromMap(map[string]setting{"numwant": {"", []string{"7"}}})))
	cfg := *n.cfg
	cfg.classes.list = pacer.WanClasses()
	n.reload(&cfg, nil)
	if n.classes.list != nil {
		t.Error("classes are in force where nothing is paced")
	}
}

// TestReloadUplink: another uplink is shared at once when it is less and after the hold-down when it is more; one that comes or goes
// needs a restart.
func TestReloadUplink(t *testing.T) {
	settings := func(uplink string) map[string]setting {
		return map[string]setting{"uplink": {"", []string{uplink}}, "beacon-interval": {"", []string{"60s"}}}
	}
	n := testNode(t, settings("80MB/s"))
	n.reload(resolve(fromMap(settings("40MB/s"))))
	if st := n.steering.state(time.Now()); st.total != 40_000_000 || st.share != 10_000_000 || st.rate != 10_000_000 {
		t.Errorf("half of it: %+v", st) // and a quarter of that until it knows who else is there
	}
	n.reload(resolve(fromMap(settings("200MB/s"))))
	now := time.Now()
	if st := n.steering.state(now); st.total != 200_000_000 || st.share > 40_000_000 || n.pacingStatus(now).Uplink.Total != 200_000_000 {
		t.Errorf("more of it: %+v", st)
	}
	if st := n.steering.state(now.Add(3 * time.Minute)); st.share != 200_000_000 {
		t.Errorf("after the hold-down: %+v", st)
	}
	n.reload(resolve(fromMap(nil)))
	if st := n.steering.state(now); st.total != 200_000_000 {
		t.Errorf("an uplink that went: %+v", st)
	}
	n = testNode(t, nil)
	n.reload(resolve(fromMap(settings("40MB/s"))))
	if st := n.steering.state(now); st.total != 0 || st.rate != 0 {
		t.Errorf("an uplink that came: %+v", st)
	}
}

// TestClassesRemoved: a file that has no classes any more brings back those that are built in, if they are the same ones.
func TestClassesRemoved(t *testing.T) {
	n := testNode(t, map[string]setting{"announce-rate": {"", []string{"1000/s"}}})
	changed := pacer.WanClasses()
	changed[1].Rate = pacer.Percent(20)
	cfg := *n.cfg
	cfg.classes.list = changed
	n.reload(&cfg, nil)
	if rate := n.pacingRate(t, "regular"); rate != 200 {
		t.Fatalf("the rate is %d, want 200", rate)
	}
	cfg.classes.list = nil
	n.reload(&cfg, nil)
	if rate := n.pacingRate(t, "regular"); rate != 350 {
		t.Errorf("the rate is %d, want 350", rate)
	}
}

// pacingRate returns the rate of a class of requests.
func (n *node) pacingRate(t *testing.T, class string) int64 {
	t.Helper()
	for _, c := range n.pacingStatus(time.Now()).Trees[0].Classes {
		if c.Name == class {
			return c.Rate
		}
	}
	t.Fatalf("no class %s", class)
	return 0
}

// TestReloadAllOrNothing: one thing that is wrong keeps everything else from changing, and when all is right everything does.
func TestReloadAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	h := wire.InfoHash{1}
	settings := map[string]setting{
		"uplink": {"", []string{"80MB/s"}}, "beacon-interval": {"", []string{"60s"}},
		"admin-token-file": {"", []string{file("token", testToken)}}, "deny": {"--deny", []string{file("deny", "")}},
	}
	n := testNode(t, settings)
	with := func(list []pacer.Class, name string, values ...string) (*config, error) {
		is := maps.Clone(settings)
		is["admin-token-file"] = setting{"", []string{file("token2", "fedcba9876543210")}}
		is["deny"] = setting{"--deny", []string{file("deny2", h.String())}}
		is["uplink"] = setting{"", []string{"40MB/s"}}
		if name != "" {
			is[name] = setting{"--" + name, values}
		}
		cfg, err := resolve(fromMap(is))
		if err == nil {
			cfg.classes.list = list
		}
		return cfg, err
	}
	changed := pacer.WanClasses()
	changed[1].Rate = pacer.Percent(20)
	bad := pacer.WanClasses()
	bad[1].Rate = pacer.Percent(100)
	state := func() string {
		deny, _ := n.lists.fileOf("deny")
		return fmt.Sprint(n.steering.state(time.Now()).total, deny.entries, n.guard.allowed.Load().token == adminTokenOf(testToken),
			len(n.lists.files), len(n.classes.list))
	}
	was := state()
	for _, step := range []struct {
		list  []pacer.Class
		name  string
		value string
	}{
		{changed, "deny", file("bad", "nonsense")}, {changed, "deny", filepath.Join(dir, "none")}, {changed, "passkeys", file("keys", "no key\x01")},
		{changed, "numwant", "0"}, {changed, "admin-token-file", file("token3", "short")}, {bad, "", ""},
	} {
		n.reload(with(step.list, step.name, step.value))
		if is := state(); is != was {
			t.Errorf("%s %q: %s, was %s", step.name, step.value, is, was)
		}
	}
	n.reload(with(changed, ""))
	if is, want := state(), fmt.Sprint(40_000_000, 1, false, 1, len(changed)); is != want {
		t.Errorf("%s, want %s", is, want)
	}
	cfg, err := resolve(fromMap(map[string]setting{"uplink": settings["uplink"]}))
	n.reload(cfg, err)
	if _, ok := n.lists.fileOf("deny"); ok {
		t.Error("the list that went is still there")
	}
}
