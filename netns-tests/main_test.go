package netnstests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// binaryEnv names the built program; it is set in the inner process only, so
// that it also tells the two apart.
const binaryEnv = "NETNS_TESTS_BINARY"

// cannot says why no test with hosts can run here; empty when they can. It is
// set before the first test starts and not changed after.
var cannot string

// TestMain builds the program, then runs the tests in a process of their own
// that has a network, mounts and process numbers apart from the machine's.
func TestMain(m *testing.M) {
	if os.Getenv(binaryEnv) != "" {
		cannot = settle()
		os.Exit(m.Run())
	}
	code, err := enter()
	if err != nil {
		cannot = err.Error()
		code = m.Run()
	}
	os.Exit(code)
}

// enter builds the program and runs this test binary again in new namespaces.
// It returns that process's exit code, or an error when there can be none.
func enter() (code int, err error) {
	if _, err := exec.LookPath("ip"); err != nil {
		return 0, errors.New("ip is missing: apt-get install iproute2")
	}
	dir, err := os.MkdirTemp("", "starling-binary-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "starling")
	build := exec.Command("go", "build", fmt.Sprintf("-race=%t", raceDetected()), "-o", binary, "../cmd/starling")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("%s\n%v: %s", build, err, out)
		return 1, nil
	}
	return reexecute(binary)
}

// raceDetected reports whether the tests run under the race detector, which
// the program then does, too: a race ends it with a code that is not 0.
func raceDetected() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// fewer returns a number of clients or peers, a fifth of it where the race detector makes all programs several times slower.
func fewer(n int) int {
	if raceDetected() {
		return n / 5
	}
	return n
}

// reexecute starts this test binary in namespaces and waits for it. When this
// process dies the inner one does, too, and with it, being the first of its
// process namespace, everything it started.
func reexecute(binary string) (code int, err error) {
	// Without the file where the go command reads what a test depends on it
	// does not keep the result: it cannot know that the program changed.
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return strings.HasPrefix(arg, "-test.testlogfile=")
	})
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), binaryEnv+"="+binary)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	// The signal above comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 0, fmt.Errorf("no network namespaces for this user (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns; or run as root): %w", err)
	}
	return 0, nil
}

// settle makes the new namespaces fit for hosts: an empty /run of our own, for
// the names that `ip netns` keeps there. It returns why it cannot, or nothing.
func settle() string {
	// Nothing mounted from here on shows outside.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Sprintf("mounts cannot be made private: %v", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Sprintf("no /run of our own: %v", err)
	}
	if out, err := exec.Command("ip", "netns", "add", "probe").CombinedOutput(); err != nil {
		return fmt.Sprintf("ip netns add: %v: %s", err, out)
	}
	return ""
}

// unable skips a test that cannot run here, or fails it where nothing may be
// skipped.
func unable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("STARLING_REQUIRE") == "all" {
		t.Fatalf("cannot run here, and STARLING_REQUIRE=all: %s", why)
	}
	t.Skipf("cannot run here: %s", why)
}

// require looks for the tools of one test beyond those all need.
func require(t *testing.T, tool, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		unable(t, fmt.Sprintf("%s is missing: apt-get install %s", tool, pkg))
	}
}
