package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	cpu      time.Duration // user and system
	resident uint64        // bytes, now
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every Linux that Go runs on (proc(5)).
const clockTick = 10 * time.Millisecond

// readUsage reads what the process has used; pid 0 is nobody, and used nothing.
func readUsage(pid int) (usage, error) {
	if pid == 0 {
		return usage{}, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("what process %d uses cannot be read, is it running? %w", pid, err)
	}
	u, ok := parseStat(b)
	if !ok {
		return usage{}, fmt.Errorf("/proc/%d/stat cannot be understood: %.200q", pid, b)
	}
	return u, nil
}

// parseStat reads /proc/PID/stat. The name in parentheses may hold anything; user and system time are fields 14 and 15, resident
// pages field 24 (proc(5)).
func parseStat(b []byte) (u usage, ok bool) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 22 {
		return u, false
	}
	var v [3]uint64
	for i, f := range [...]int{14, 15, 24} {
		n, err := strconv.ParseUint(string(fields[f-3]), 10, 63)
		if err != nil {
			return u, false
		}
		v[i] = n
	}
	return usage{cpu: time.Duration(v[0]+v[1]) * clockTick, resident: v[2] * uint64(os.Getpagesize())}, true
}
