package doctor

import (
	"context"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"starling/livesync"
)

func itoa(port uint16) string { return strconv.Itoa(int(port)) }

func mib(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) + "MiB" }

// wantedPorts are those of a node that is told nothing.
var wantedPorts = []Port{{Protocol: "tcp", Port: 6969}, {Protocol: "udp", Port: 6969}, {Protocol: "tcp", Port: 6970}}

// Look takes a snapshot, for which it listens to the group for a while. s has the group and Interface.Wanted, and the node if one runs.
func Look(ctx context.Context, s *Snapshot, while time.Duration) {
	s.Interface.look()
	if s.Interface.Trouble == "" && s.Interface.Up {
		listen(ctx, s, while)
	}
	s.ReceiveMax = number("/proc/sys/net/core/rmem_max")
	s.ConntrackCount, s.ConntrackMax = number("/proc/sys/net/netfilter/nf_conntrack_count"), number("/proc/sys/net/netfilter/nf_conntrack_max")
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		s.FileLimit = limit.Max // the Go runtime raises the soft limit up to it
	}
	var timex unix.Timex
	if state, err := unix.Adjtimex(&timex); err == nil {
		s.ClockKnown, s.ClockSynced = true, state != unix.TIME_ERROR && timex.Status&unix.STA_UNSYNC == 0
	}
	s.ClockKeeper = lookKeeper(os.DirFS("/proc"))
	s.Memory = lookMemory()
	s.Ports = lookPorts(wantedPorts)
	s.Rules = lookRules(ctx)
}

// look finds the interface and describes it.
func (i *Interface) look() {
	name, warning, err := livesync.FindInterface(i.Wanted)
	switch {
	case err != nil:
		i.Trouble = err.Error()
		return
	case warning != "":
		i.Trouble = strings.TrimPrefix(warning, "live sync is off: ")
		return
	case name == "":
		i.Trouble = "live sync is turned off (--livesync-interface none)"
		return
	}
	ifi := interfaceNamed(name)
	if ifi == nil {
		i.Trouble = "interface " + name + " is gone"
		return
	}
	i.Name = ifi.Name
	i.Up, i.Multicast, i.Loopback = ifi.Flags&net.FlagUp != 0, ifi.Flags&net.FlagMulticast != 0, ifi.Flags&net.FlagLoopback != 0
	for _, p := range prefixes(ifi) {
		if a := p.Addr(); !i.Addr.IsValid() || a.String() == name {
			i.Addr = p
		}
		if a := p.Addr(); !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			i.Public = true
		}
	}
	i.bridge()
}

// bridge finds the bridge that the interface is or is a port of.
func (i *Interface) bridge() {
	for _, b := range []struct{ dir, name string }{{"/sys/class/net/" + i.Name + "/bridge", i.Name}, {"/sys/class/net/" + i.Name + "/master/bridge", ""}} {
		if _, err := os.Stat(b.dir); err != nil {
			continue
		}
		if i.Bridge = b.name; b.name == "" {
			target, _ := os.Readlink("/sys/class/net/" + i.Name + "/master") // no name is no more than a gap in a sentence
			i.Bridge = target[strings.LastIndexByte(target, '/')+1:]
		}
		i.Snooping, i.Querier = number(b.dir+"/multicast_snooping") == 1, number(b.dir+"/multicast_querier") == 1
		return
	}
}

// interfaceNamed finds an interface by its name or an address of it.
func interfaceNamed(name string) *net.Interface {
	if ifi, err := net.InterfaceByName(name); err == nil {
		return ifi
	}
	all, _ := net.Interfaces() // none found is what it comes to
	for n := range all {
		for _, p := range prefixes(&all[n]) {
			if p.Addr().String() == name {
				return &all[n]
			}
		}
	}
	return nil
}

// prefixes returns the IPv4 addresses of an interface.
func prefixes(ifi *net.Interface) []netip.Prefix {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	var all []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			all = append(all, p)
		}
	}
	return all
}

// lookKeeper finds the process that keeps the clock right, in what is /proc.
func lookKeeper(proc fs.FS) string {
	names, err := fs.Glob(proc, "[0-9]*/comm")
	if err != nil {
		return ""
	}
	for _, name := range names {
		text, err := fs.ReadFile(proc, name)
		if comm := strings.TrimSpace(string(text)); err == nil && keepers[comm] != "" {
			return comm
		}
	}
	return ""
}

// number returns the number in a file, 0 without one.
func number(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// lookRules returns the rules of the firewall, as far as a tool is there and may show them.
func lookRules(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var rules string
	for _, command := range [][]string{{"nft", "list", "ruleset"}, {"iptables", "-S"}} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output(); err == nil {
			rules += string(out)
		}
	}
	return rules
}

// lookMemory reads what the host and the control group of this process have.
func lookMemory() Memory {
	var m Memory
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m
	}
	m.Total, m.Available = meminfo(string(text), "MemTotal:"), meminfo(string(text), "MemAvailable:")
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if n := number(path); n > 0 {
			m.Limit = int64(n)
		}
	}
	return m
}

// meminfo returns the bytes of one line of /proc/meminfo.
func meminfo(text, name string) int64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
