// Trackers-bench measures this build beside other trackers, in turn within each round, so that the moods of the machine fall on all of them alike.
//
// Each tracker is started on core 0 and loaded from the core that scripts/bench pins this program to, on loopback, with the world of FIELD's public
// workload in small: torrents with zipf popularity, three of four peers seeders. The peers are filled in
// first; then come the measures, one after the other, on the same process:
//
//	udp           UDP, as fast as answers come: processor time of the tracker for each right answer
//	udp, paced    UDP at a fixed rate, where waking up costs most: the same, and latencies
//	udp, half     UDP at half of what the first measure reached: p99
//	http          HTTP, connections kept alive
//	http, each    HTTP, a connection for each request
//	memory        resident bytes for each peer filled in, what it had before not counted
//	fullscrape    scrapes of all torrents, and announces' p99 at the fixed rate beside them; only when it is asked for, with a world to match:
//	              -measures fullscrape -torrents 1000000 -skew -1
//
// It prints medians over the rounds, and for each other tracker the ratio of our median to its. One of them is the floor: this program on the sockets that
// our tracker has, which answers the same bytes to everybody, by recvmmsg over UDP and from the accept loop over HTTP.
// Nothing written in Go can be much below it. scripts/bench runs it; the commands of other
// trackers are given in variables, each to serve HTTP and UDP on 127.0.0.1:6969:
//
//	OPENTRACKER="/usr/bin/opentracker -i 127.0.0.1 -p 6969 -P 6969" scripts/bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options say how to measure.
type options struct {
	starling        string
	rounds          int
	duration        time.Duration
	torrents, peers int
	skew            float64
	numWant         int
	paced           float64
	measures        []string
	log             *os.File
}

func main() {
	var o options
	flag.StringVar(&o.starling, "starling", "", "`PATH` of the program")
	flag.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "of each measure")
	flag.IntVar(&o.torrents, "torrents", 100_000, "in the world")
	flag.IntVar(&o.peers, "peers", 1_000_000, "in the world")
	flag.Float64Var(&o.skew, "skew", 0.8, "of the torrents' popularity; -1: all the same")
	flag.IntVar(&o.numWant, "numwant", 74, "peers that each announce asks for")
	flag.Float64Var(&o.paced, "paced", 20_000, "requests a second of the paced measure")
	measures := flag.String("measures", strings.Join(usualMeasures, ","), "which are taken, with commas between them")
	floor := flag.Bool("floor", false, "be the floor: answer on "+where+" and know nothing")
	scrape := flag.String("scrape", "", "be who asks "+where+" for full scrapes in this `CODING`, and print how long they take")
	flag.Parse()
	o.measures = strings.Split(*measures, ",")
	for _, m := range o.measures {
		if !slices.Contains(allMeasures, m) {
			fmt.Fprintf(os.Stderr, "trackers-bench: -measures: %q is none of %s\n", m, strings.Join(allMeasures, ", "))
			os.Exit(2)
		}
	}
	if *floor {
		fmt.Fprintln(os.Stderr, "trackers-bench:", serveFloor(where))
		os.Exit(1)
	}
	if *scrape != "" {
		if err := scrapeOn(*scrape); err != nil {
			fmt.Fprintln(os.Stderr, "trackers-bench:", err)
			os.Exit(1)
		}
		return
	}
	o.log = os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "trackers-bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	runtime.GOMAXPROCS(2) // on one core, but a sender that sleeps on its thread must not keep the others from running
	self, err := os.Executable()
	if err != nil {
		return err
	}
	all := contenders(o.starling, self, os.Getenv)
	results := make([]results, len(all))
	for round := range o.rounds {
		for i, c := range all {
			fmt.Fprintf(o.log, "round %d of %d: %s\n", round+1, o.rounds, c.name)
			if err := measure(ctx, o, c, &results[i]); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	printTable(os.Stdout, o, all, results)
	return nil
}
