// Livesync-bench measures how many records of other nodes the program takes in
// on one core, from the socket to the swarms of its store.
//
// It starts the program, pinned to a core of its own, and from another core
// first tells it of ten peers in each of 100,000 torrents. Then it offers
// records of random ones of these peers for some seconds, in full packets at
// an even rate, whatever becomes of them, and asks the program how many it
// applied and how many packets the system had no room for:
//
//	scripts/livesync-bench/run
//	scripts/livesync-bench/run -rate 3000000 -seconds 10
//
// It ends with 1 when a record was lost. The run script has it in a network
// namespace of its own, on lo, after the benchmarks that need no socket.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options say how to measure.
type options struct {
	starling string
	rate     int
	duration time.Duration
	cores    string
}

func main() {
	var o options
	var seconds int
	flag.StringVar(&o.starling, "starling", "", "`PATH` of the program")
	flag.IntVar(&o.rate, "rate", 2_000_000, "records a second")
	flag.IntVar(&seconds, "seconds", 5, "that they are offered")
	flag.StringVar(&o.cores, "cores", "1,0", "of the program, and of the sender")
	flag.Parse()
	o.duration = time.Duration(seconds) * time.Second
	lost, err := o.measure()
	if err != nil {
		fmt.Fprintln(os.Stderr, "livesync-bench:", err)
		os.Exit(2)
	}
	if lost != 0 {
		os.Exit(1)
	}
}

// measure returns how many records were lost.
func (o *options) measure() (lost int, err error) {
	receiving, sending, ok := strings.Cut(o.cores, ",")
	if !ok {
		return 0, fmt.Errorf("-cores %q is not two of them", o.cores)
	}
	if err := exec.Command("taskset", "-a", "-p", "-c", sending, strconv.Itoa(os.Getpid())).Run(); err != nil {
		return 0, fmt.Errorf("taskset: %w", err)
	}
	p, err := start(o, receiving)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	s, err := newSender()
	if err != nil {
		return 0, err
	}
	defer s.conn.Close()
	filled := s.offer(o.rate/10, len(s.packets)) // everybody once, at leisure
	time.Sleep(time.Second)
	before, err := p.state()
	if err != nil {
		return 0, err
	}
	fmt.Printf("filled: %d records offered, %d peers in %d torrents\n", filled, before.Peers.IPv4, before.Torrents)
	packets := int(o.duration.Seconds() * float64(o.rate) / perPacket)
	began := time.Now()
	offered := s.offer(o.rate, packets)
	took := time.Since(began)
	time.Sleep(time.Second)
	after, err := p.state()
	if err != nil {
		return 0, err
	}
	applied := after.Livesync.Received.Records - before.Livesync.Received.Records
	lost = offered - applied
	cpu := after.cpu - before.cpu
	fmt.Printf("offered %d records in %.2f s, %.0f a second; applied %d, lost %d (%.3f %%)\n",
		offered, took.Seconds(), float64(offered)/took.Seconds(), applied, lost, 100*float64(lost)/float64(offered))
	fmt.Printf("the system had no room for %d packets; the program used %.2f s of its core, %.0f ns a record with the kernel's part\n",
		after.Livesync.Dropped.Kernel-before.Livesync.Dropped.Kernel, cpu.Seconds(), float64(cpu.Nanoseconds())/float64(max(applied, 1)))
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Printf("load average: %s", load) // a machine that does other things as well is no core of its own
	}
	return lost, nil
}

// program is the one that is measured.
type program struct{ cmd *exec.Cmd }

const admin = "127.0.0.1:6970"

// start starts the program on a core and waits until it answers.
func start(o *options, core string) (*program, error) {
	cmd := exec.Command("taskset", "-c", core, o.starling, "serve", "--http", "none", "--udp", "none", "--admin", admin,
		"--livesync-interface", "lo", "--livesync-group", group.String(), "--livesync-node", "127.0.0.0/8", "--scrape-sync", "off", "--log-level", "error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &program{cmd}
	for range 100 {
		if _, err := p.state(); err == nil {
			return p, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer on %s", o.starling, admin)
}

func (p *program) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
}

// state is what the program says of itself, and the processor time it used so far.
type state struct {
	Torrents int
	Peers    struct{ IPv4 int }
	Livesync struct {
		Received struct{ Records int }
		Dropped  struct{ Kernel int }
	}
	cpu time.Duration
}

func (p *program) state() (*state, error) {
	resp, err := http.Get("http://" + admin + "/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	s.cpu, err = parseStat(string(stat))
	return s, err
}

// parseStat reads the time a process used, in user mode and in the kernel: fields 14 and 15, in ticks of 10 ms. The name before
// them, in parentheses, may have spaces.
func parseStat(text string) (time.Duration, error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("stat of a process: %q", text)
	}
	ticks := 0
	for _, field := range f[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
