package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// startWith starts the program with more flags and returns where it serves. stop ends it.
func startWith(o *options, flags ...string) (where string, stop func(), err error) {
	// A port that was free a moment ago: the program is told it and says if it is not.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	where = ln.Addr().String()
	ln.Close()
	cmd := exec.Command(o.starling, append([]string{"serve", "--http", where, "--udp", where, "--admin", "none",
		"--livesync-interface", "none", "--log-level", "error"}, flags...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	renice(cmd.Process.Pid, 0)
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for range 100 {
		if conn, err := net.Dial("tcp4", where); err == nil {
			conn.Close()
			renice(cmd.Process.Pid, 0)
			return where, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("%s does not serve %s", o.starling, where)
}
