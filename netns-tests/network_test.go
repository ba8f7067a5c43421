package netnstests

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// networks counts the segments made so far, so that each has names of its own.
var networks atomic.Int32

// A network is one segment and its hosts, as doc.go draws it.
type network struct {
	t     *testing.T
	name  string // what all its namespaces begin with
	dir   string // logs, captures, state; kept when the test fails
	hosts map[string]*host
	wire  *capture
}

// A host is a namespace on the segment with an address of each family.
type host struct {
	net    *network
	name   string
	ns     string
	ip4    netip.Addr
	ip6    netip.Addr
	number int
	group  netip.AddrPort // where its tracker is to send
}

// newNetwork makes a segment with hosts of these names and starts to capture
// what goes over it. The test runs beside others from here on.
func newNetwork(t *testing.T, names ...string) *network {
	t.Helper()
	if cannot != "" {
		unable(t, cannot)
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "starling-"+strings.ReplaceAll(t.Name(), "/", "-")+"-")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, name: fmt.Sprintf("n%d", networks.Add(1)), dir: dir, hosts: make(map[string]*host)}
	t.Cleanup(n.close)
	n.ip("netns add %s-switch", n.name)
	n.ip("-n %s-switch link add br0 type bridge", n.name)
	n.ip("-n %s-switch link set br0 up", n.name)
	for i, name := range names {
		n.hosts[name] = &host{
			net: n, name: name, ns: n.name + "-" + name, number: i + 1, group: group,
			ip4: netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}),
			ip6: netip.MustParseAddr(fmt.Sprintf("fd77::%x", i+1)),
		}
		n.ip("netns add %s", n.hosts[name].ns)
		n.ip("-n %s link set lo up", n.hosts[name].ns)
		n.hosts[name].plug()
	}
	n.wire = n.startCapture()
	return n
}

// at returns the host with an IPv4 address, or nil.
func (n *network) at(ip4 netip.Addr) *host {
	for _, h := range n.hosts {
		if h.ip4 == ip4 {
			return h
		}
	}
	return nil
}

// close ends the namespaces and keeps what the test wrote only if it failed.
// It is the first cleanup and so runs last, when all processes have ended.
func (n *network) close() {
	for _, h := range n.hosts {
		n.ip("netns del %s", h.ns)
	}
	n.ip("netns del %s-switch", n.name)
	if !n.t.Failed() {
		os.RemoveAll(n.dir)
		return
	}
	n.t.Logf("logs and captures are kept in %s", n.dir)
	logs, _ := filepath.Glob(filepath.Join(n.dir, "*.log"))
	for _, log := range logs {
		text, _ := os.ReadFile(log)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		n.t.Logf("the end of %s:\n%s", log, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

// ip runs one ip command, which must succeed.
func (n *network) ip(format string, args ...any) {
	n.t.Helper()
	command := fmt.Sprintf(format, args...)
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", command, err, out)
	}
}

// plug gives a host its interface: a pair of virtual Ethernet ends, one in the
// bridge. Its hardware address is the same each time, as a card's is.
func (h *host) plug() {
	h.net.t.Helper()
	sw := h.net.name + "-switch"
	h.net.ip("-n %s link add name port-%s type veth peer name eth0 netns %s", sw, h.name, h.ns)
	h.net.ip("-n %s link set eth0 address 02:77:00:00:00:%02x", h.ns, h.number)
	h.net.ip("-n %s link set port-%s master br0 up", sw, h.name)
	h.link("up")
}

// link sets the host's interface up or down. An interface that goes down loses
// its IPv6 address and its routes, so both are given again; IPv6 addresses are
// used at once, there is nobody to collide with.
func (h *host) link(state string) {
	h.net.t.Helper()
	h.net.ip("-n %s link set eth0 %s", h.ns, state)
	if state == "up" {
		h.net.ip("-n %s addr replace %s/24 dev eth0", h.ns, h.ip4)
		h.net.ip("-n %s addr replace %s/64 dev eth0 nodad", h.ns, h.ip6)
		h.net.ip("-n %s route replace default dev eth0", h.ns)
	}
}

// unplug takes the host's interface away altogether.
func (h *host) unplug() {
	h.net.t.Helper()
	h.net.ip("-n %s link del eth0", h.ns)
}

// in calls f on a thread inside the host's namespace. What f opens or starts
// there stays there. The thread ends with f, since it cannot come back.
func (h *host) in(f func() error) error { return inNamespace(h.ns, f) }

func inNamespace(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + ns)
		if err != nil {
			done <- err
			return
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering %s: %w", ns, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// start runs a program on the host, with its output in a log of this name.
// The program is killed when the test ends, if it has not ended by then.
func (h *host) start(log string, name string, args ...string) *process {
	h.net.t.Helper()
	return h.startWith(log, nil, name, args...)
}

// startWith does the same, with more open files: 3 and on.
func (h *host) startWith(log string, files []*os.File, name string, args ...string) *process {
	t := h.net.t
	t.Helper()
	file, err := os.OpenFile(filepath.Join(h.net.dir, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = file, file, h.net.dir
	// What configures the tests is no setting of the program, which would say so.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "STARLING_") })
	cmd.ExtraFiles = files
	fmt.Fprintln(file, cmd)
	if err := h.in(cmd.Start); err != nil {
		t.Fatal(err)
	}
	p := &process{on: h.name, cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// A process is a program that runs on a host.
type process struct {
	on    string // a host of this name
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // how, once it has
}

// kill ends a process as a power failure does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stop ends a process the way an operator does, which must end well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("%s did not end well: %v", p.on, p.err)
		}
	case <-time.After(patience):
		t.Errorf("%s did not end after SIGTERM; its log says what it did instead", p.on)
		p.cmd.Process.Signal(syscall.SIGQUIT) // which has a Go program print what its goroutines do
		select {
		case <-p.ended:
		case <-time.After(patience):
			p.kill()
		}
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// patience is far beyond what a loaded machine needs for anything but what says otherwise.
const patience = 2 * time.Minute

// eventually waits until ok returns nil: it asks again and again, up to a
// deadline.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	within(t, patience, what, ok)
}

// within does the same with a deadline of its own.
func within(t *testing.T, patience time.Duration, what string, ok func() error) {
	t.Helper()
	const pause = 20 * time.Millisecond
	deadline := time.After(patience)
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}
