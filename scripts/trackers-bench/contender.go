package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// where every tracker serves, over HTTP and UDP.
const where = "127.0.0.1:6969"

// contender is a tracker to be measured.
type contender struct {
	name    string
	command []string
	floor   bool // it does nothing but answer
}

// contenders returns our build, this program at self as the floor, and the trackers whose commands are given in the environment.
func contenders(starling, self string, env func(string) string) []contender {
	all := []contender{{name: "starling", command: []string{
		starling, "serve", "--http", where, "--udp", where, "--admin", "none", "--livesync-interface", "none", "--log-level", "error",
		"--full-scrape", "127.0.0.0/8",
	}}, {name: "floor", command: []string{self, "-floor"}, floor: true}}
	for _, variable := range []string{"OPENTRACKER", "CHIHAYA", "MOCHI", "OTHER"} {
		if command := strings.Fields(env(variable)); len(command) > 0 {
			all = append(all, contender{name: strings.ToLower(variable), command: command})
		}
	}
	return all
}

// start starts the tracker on its core and waits until it serves. stop ends it.
func (c contender) start(ctx context.Context) (pid int, stop func(), err error) {
	if conn, err := net.Dial("tcp4", where); err == nil {
		conn.Close()
		return 0, nil, fmt.Errorf("somebody serves %s already", where)
	}
	var out strings.Builder
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0"}, c.command...)...)
	cmd.Stderr = &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	}
	for range 200 {
		if conn, err := net.Dial("tcp4", where); err == nil {
			conn.Close()
			return cmd.Process.Pid, stop, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return 0, nil, fmt.Errorf("%s does not serve %s over HTTP: %s", strings.Join(c.command, " "), where, out.String())
}
