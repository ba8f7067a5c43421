package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lookPorts says of ports whether a socket has them, and whose it is.
func lookPorts(wanted []Port) []Port {
	tables := make(map[string]string)
	for _, protocol := range []string{"tcp", "udp"} {
		for _, version := range []string{"", "6"} {
			if text, err := os.ReadFile("/proc/net/" + protocol + version); err == nil {
				tables[protocol] += string(text)
			}
		}
	}
	inodes := make(map[string]*Port)
	found := make([]Port, len(wanted))
	for i, p := range wanted {
		found[i] = p
		if inode := holder(tables[p.Protocol], p.Protocol, p.Port); inode != "" {
			found[i].Taken = true
			inodes["socket:["+inode+"]"] = &found[i]
		}
	}
	if len(inodes) > 0 {
		nameOwners(inodes)
	}
	return found
}

// holder returns the inode of the socket that listens on a port, in a table of /proc/net: number, local address, remote address, state, ...
func holder(table, protocol string, port uint16) string {
	const listening, unconnected = "0A", "07"
	want := listening
	if protocol == "udp" {
		want = unconnected
	}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != want {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port {
			return f[9]
		}
	}
	return ""
}

// nameOwners finds the processes that hold sockets, those that this process may look at.
func nameOwners(inodes map[string]*Port) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || inodes[target] == nil {
			continue
		}
		pid := strings.Split(link, "/")[2]
		if name, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil {
			inodes[target].Owner = strings.TrimSpace(string(name)) + " (process " + pid + ")"
		}
	}
}
