package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// raised is the priority of this process: it stands for 200 machines elsewhere, which are not slow when this one is. What it starts has the
// usual priority.
const raised = -10

// renice gives all threads of a process a priority and reports whether it may. Threads they start later have it too.
func renice(pid, priority int) bool {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false
	}
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err != nil || syscall.Setpriority(syscall.PRIO_PROCESS, id, priority) != nil {
			return false
		}
	}
	return true
}

// load starts so many processes of the usual priority that do nothing but use the processor. stop ends them.
func load(n int) (stop func(), err error) {
	var all []*exec.Cmd
	stop = func() {
		for _, c := range all {
			c.Process.Kill()
			c.Wait()
		}
	}
	for range n {
		c := exec.Command("/proc/self/exe", "-spin")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			stop()
			return nil, err
		}
		all = append(all, c)
		renice(c.Process.Pid, 0)
	}
	return stop, nil
}

// spin is what such a process does.
func spin() {
	syscall.Setpriority(syscall.PRIO_PROCESS, 0, 0)
	for turns := uint64(0); ; turns++ {
	}
}

// loadAverage returns how many processes wanted a processor in the last minute, of the whole machine.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
