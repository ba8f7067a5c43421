package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// startStarling starts the program with the rate and returns where it serves. stop ends it.
func startStarling(o *options) (where string, stop func(), err error) {
	// A port that was free a moment ago: the program is told it and says if it is not.
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	where = ln.Addr().String()
	ln.Close()
	cmd := exec.Command(o.starling, "serve", "--http", where, "--udp", "none", "--admin", "none",
		"--livesync-interface", "none", "--rate", strconv.Itoa(o.rate)+"B/s", "--log-level", "error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for range 100 {
		if conn, err := net.Dial("tcp4", where); err == nil {
			conn.Close()
			return where, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("%s does not serve %s", o.starling, where)
}
