package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user that every host has.
const nobody = "nobody"

// asRoot skips a test that only root can run, and returns that user.
func asRoot(t *testing.T) account {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	a, err := findAccount(nobody)
	if err != nil {
		t.Skip(err)
	}
	return a
}

// publicDir returns a directory that every user can reach, as those of the tests' are not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "starling-account")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// wantNobody fails the test unless every thread of the process is that user and has no way to get more rights. A thread that was about to end
// when the rights were given up has them until it does.
func wantNobody(t *testing.T, pid int, a account) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		wrong := otherThreads(t, pid, a)
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("threads that are not %s: %s", a.name, wrong)
		}
	}
}

// otherThreads says which threads of the process are not that user, or could become another.
func otherThreads(t *testing.T, pid int, a account) (wrong []string) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, thread.Name()))
		if err != nil {
			continue // it has ended
		}
		lines := strings.Join(strings.Fields(string(text)), " ") + " "
		for _, want := range []string{
			fmt.Sprintf("Uid: %d %[1]d %[1]d %[1]d ", a.uid), fmt.Sprintf("Gid: %d %[1]d %[1]d %[1]d ", a.gid),
			"Groups: " + strings.Trim(fmt.Sprint(a.groups), "[]") + " ", "CapPrm: 0000000000000000 CapEff: 0000000000000000 ", "CapAmb: 0000000000000000 ",
			"NoNewPrivs: 1 ",
		} {
			if !strings.Contains(lines, want) {
				wrong = append(wrong, fmt.Sprintf("thread %s: no %q in %s", thread.Name(), want, lines))
			}
		}
	}
	return wrong
}

// copyProgram puts this program somewhere else.
func copyProgram(t *testing.T, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not by this process: a test that starts another program meanwhile would hand it the open file, and nothing that is written to can be executed.
	if said, err := exec.Command("cp", self, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// awaitLog reads a log up to a line with a text, which it returns.
func awaitLog(t *testing.T, log *bufio.Reader, text string) string {
	t.Helper()
	for last := ""; ; {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ended with %q and without %q: %v", last+line, text, err)
		}
		last = line
		if strings.Contains(line, text) {
			return line
		}
	}
}

// TestUser starts the program as root with --user: it serves on low ports as that user, is replaced by itself, reads a list again that was
// replaced, goes on when it is told to do what it cannot any more, and writes its state directory at the end.
func TestUser(t *testing.T) {
	t.Parallel()
	a := asRoot(t)
	dir := publicDir(t)
	state, list, file := filepath.Join(dir, "state"), filepath.Join(dir, "deny"), filepath.Join(dir, "starling.toml")
	replace := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	low := fmt.Sprintf("127.%d.%d.%d:80", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)) // nobody else's
	settings := fmt.Sprintf("user = %q\nudp = [%q]\ndeny = %q\nhttp = [%[2]q]\n", nobody, low, list)
	replace(list, "")
	replace(file, settings)
	cmd := program(t, "serve", "--config", file, "--admin", "127.0.0.1:0", "--livesync-interface", "none", "--state-dir", state)
	cmd.Path = filepath.Join(dir, "starling") // which that user can execute
	copyProgram(t, cmd.Path)
	log := startProgram(t, cmd)
	defer time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }).Stop() // a log without the line that is awaited ends then
	first := awaitLog(t, log, "Landlock")
	confined := strings.Contains(first, `"write":["`+state+`"]`)
	s := awaitServing(t, log)
	wantNobody(t, cmd.Process.Pid, a)
	announce(t, "http", s.HTTP[0], 6881)
	announce(t, "udp", s.UDP[0], 6882)

	cmd.Process.Signal(syscall.SIGUSR2)
	if confined {
		awaitLog(t, log, "goes on as the program before left it")
	}
	again := awaitServing(t, log)
	wantNobody(t, cmd.Process.Pid, a)
	if st := nodeStatusOf(t, again.Admin); st.Peers.IPv4 != 2 || again.HTTP[0] != low {
		t.Errorf("%+v, %+v", st.Peers, again)
	}

	// What was given up is not had again, and what serves goes on serving.
	replace(file, strings.Replace(settings, low, strings.Replace(low, ":80", ":79", 1), 1))
	cmd.Process.Signal(syscall.SIGUSR2)
	awaitLog(t, log, ":79: bind: permission denied")
	replace(file, strings.Replace(settings, nobody, "daemon", 1))
	cmd.Process.Signal(syscall.SIGUSR2)
	awaitLog(t, log, "only root can become daemon")
	if confined {
		elsewhere := filepath.Join(publicDir(t), "deny")
		replace(elsewhere, "")
		replace(file, strings.Replace(settings, list, elsewhere, 1))
		cmd.Process.Signal(syscall.SIGHUP)
		awaitLog(t, log, "start it again for others")
	}

	replace(file, settings)
	replace(list, exampleHash+"\n")
	cmd.Process.Signal(syscall.SIGHUP)
	for deadline := time.Now().Add(patience); nodeStatusOf(t, again.Admin).Peers.IPv4 != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the list was not read again")
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	log.WriteTo(&strings.Builder{})
	if code := exitCode(t, cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, name := range []string{"", "tracker-id", "swarms.snapshot", "lists.edits"} {
		info, err := os.Stat(filepath.Join(state, name))
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != a.uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestUserRefused: what that user could not do later is refused at the start, and by check, in one line that says what to do.
func TestUserRefused(t *testing.T) {
	a := asRoot(t)
	dir := publicDir(t)
	secret, open, foreign := filepath.Join(dir, "secret"), filepath.Join(dir, "open"), filepath.Join(dir, "foreign")
	closed := filepath.Join(dir, "closed")
	for _, err := range []error{
		os.WriteFile(secret, nil, 0o600), os.WriteFile(open, nil, 0o644), os.Mkdir(foreign, 0o755), os.Mkdir(closed, 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(own, a.uid, a.gid); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "epoch"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, value, want string }{
		{"deny", secret, "chmod g+r"},
		{"state-dir", foreign, "chown -R nobody: " + foreign},
		{"state-dir", own, "epoch does not belong to nobody"},
	} {
		args := silent("--user", nobody, "--"+c.flag, c.value)
		invoke(t, nil, args...).wantUsageError(t, "--"+c.flag, c.want)
		args[0] = "check"
		invoke(t, nil, args...).wantUsageError(t, "--"+c.flag, c.want)
	}
	cfg := &config{user: a}
	if err := a.give(filepath.Join(closed, "state")); err == nil || !strings.Contains(err.Error(), "directories above") {
		t.Errorf("%v", err)
	}
	if err := cfg.checkUser(); err != nil {
		t.Errorf("nothing is named: %v", err)
	}
	if r := invoke(t, nil, append([]string{"check"}, silent("--user", nobody, "--deny", open)[1:]...)...); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if os.Geteuid() != 0 {
		t.Error("a test is another user")
	}
}

// TestAccount: who is who already stays so, and who is not root cannot become another.
func TestAccount(t *testing.T) {
	me := os.Geteuid()
	for _, c := range []struct {
		a     account
		drops bool
		wrong bool
	}{
		{account{}, false, false},
		{account{name: "me", uid: me}, false, false},
		{account{name: "other", uid: me + 1}, me == 0, me != 0},
	} {
		if drops, err := c.a.drops(); drops != c.drops || err != nil != c.wrong {
			t.Errorf("%+v: %v, %v", c.a, drops, err)
		}
	}
}

// TestReadable: the directories of all files that are read again, those behind links too.
func TestReadable(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(dir, "here")
	if err := os.Mkdir(here, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../there/file", filepath.Join(here, "link")); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(there)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config{path: "relative.toml", given: map[string]setting{
		"allow": {values: []string{filepath.Join(here, "link")}},
		"rate":  {values: []string{"/nowhere/10MB"}}, // no file
	}}
	got := cfg.readable()
	for path, want := range map[string]bool{here: true, real: true, ".": true, "/etc": true, "/nowhere": false, "/root": false, "/": false} {
		if slices.Contains(got, path) != want {
			t.Errorf("%s in %v: not %v", path, got, want)
		}
	}
}
