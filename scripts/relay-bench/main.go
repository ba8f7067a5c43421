// Relay-bench measures how long what is announced to one tracker takes to be seen at another that it has nothing in common with but a
// NATS server.
//
// It starts the server and two nodes on lo, each on a group of its own, which is as good as a segment of its own. Then it announces
// to one of them over UDP, asks the other for the counts of that torrent until the client is there, and so on, with a pause of a length
// drawn at random in between:
//
//	scripts/relay-bench/run
//	scripts/relay-bench/run -n 500 -flush 5ms
//
// It prints the median, the 95th percentile and the longest, in milliseconds. The run script has it in a network namespace of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// patience is how long a start, and what was announced, may take.
const patience = 30 * time.Second

func main() {
	starling := flag.String("starling", "", "`PATH` of the program")
	n := flag.Int("n", 100, "announces")
	flush := flag.String("flush", "", "--livesync-flush of the nodes, when not the default")
	flag.Parse()
	if err := measure(*starling, *n, *flush); err != nil {
		fmt.Fprintln(os.Stderr, "relay-bench:", err)
		os.Exit(2)
	}
}

// measure prints how long n announces took.
func measure(starling string, n int, flush string) error {
	dir, err := os.MkdirTemp("", "relay-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	key, err := exec.Command(starling, "key").Output()
	if err != nil {
		return err
	}
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := start(ctx, dir, "nats-server", "-a", "127.0.0.1", "-p", "4222"); err != nil {
		return err
	}
	var nodes [2]*asker
	for i := range nodes {
		args := []string{"serve", "--http", "none", "--udp", fmt.Sprintf("127.0.0.1:%d", 7001+i), "--admin", "none", "--cluster-key-file", keyFile,
			"--livesync-interface", "lo", "--livesync-group", fmt.Sprintf("224.0.42.%d:9696", 5+i), "--relay", "nats://127.0.0.1:4222"}
		if flush != "" {
			args = append(args, "--livesync-flush", flush)
		}
		if err := start(ctx, dir, starling, args...); err != nil {
			return err
		}
		conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", 7001+i))
		if err != nil {
			return err
		}
		defer conn.Close()
		nodes[i] = &asker{conn: conn}
	}
	var took []time.Duration
	for i := range n + 1 {
		one, err := across(nodes[0], nodes[1], i)
		if err != nil {
			return err
		}
		if i > 0 { // the first one waited for the start
			took = append(took, one)
		}
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	fmt.Printf("announced on one segment, seen on the other: %d times, median %.1f ms, 95th percentile %.1f, longest %.1f\n",
		n, ms(took[n/2]), ms(took[n*95/100]), ms(took[n-1]))
	return nil
}

// start starts a program that ends with ctx, or with this one.
func start(ctx context.Context, dir, name string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.log", filepath.Base(name), len(args))))
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = log, log
	return c.Start()
}

// across announces a client of a torrent of its own to the first node, and returns how long it took until the second had it.
func across(near, far *asker, i int) (time.Duration, error) {
	by := time.Now().Add(patience)
	from, err := near.connect(by)
	if err != nil {
		return 0, err
	}
	to, err := far.connect(by)
	if err != nil {
		return 0, err
	}
	hash := [20]byte{byte(i >> 8), byte(i), 1}
	if err := near.announce(from, hash); err != nil {
		return 0, err
	}
	for began := time.Now(); ; {
		switch n, err := far.clients(to, hash); {
		case err != nil:
			return 0, err
		case n > 0:
			return time.Since(began), nil
		case time.Now().After(by):
			return 0, fmt.Errorf("announce %d is not seen", i)
		}
	}
}
