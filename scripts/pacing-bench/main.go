// Pacing-bench measures on real sockets how well starling keeps a byte rate.
//
// It starts the program with --rate on the loopback interface and lets 200
// connections, each from an address of its own, ask for four times the rate
// for 20 s. One of them asks for half of all that, many requests ahead of their
// answers and with long peer lists; the others ask one thing after the other.
// There are two runs:
//
//	regular   all announce without an event: what each connection gets is
//	          compared (Jain's index), and the rate with each window of 2 s
//	classes   a third each send started, regular announces and scrapes: what
//	          each class gets is compared with its assured rate
//
// It prints the figures and ends with 1 when one is out of its bounds:
//
//	scripts/pacing-bench/run
//	scripts/pacing-bench/run -rate 500000 -seconds 5 -within 5
//	scripts/pacing-bench/run -load 8
//	scripts/pacing-bench/run -crowd -seconds 120
//
// Bytes count when they were sent, not when this process came to read them,
// and it has a higher priority than what it measures, where it may. With -load
// so many processes compete with the program. When the system does not let it
// run for more than 40 ms no window that ends then can have 98 % of its bytes:
// the longest silence on the wire is printed beside.
//
// The last one above lets 2000 clients come within four seconds to a tracker that
// can serve 50 in one, and counts when they come again.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// bounds are what the figures must keep.
type bounds struct {
	within  float64 // percent that a window may be off the rate
	jain    float64 // least index
	assured float64 // percent of its assured rate that a class gets at least
	wait    time.Duration
}

// options say how to measure.
type options struct {
	starling    string
	rate        int
	duration    time.Duration
	connections int
	bounds
}

func main() {
	var o options
	var seconds int
	var spins int
	var crowded, spinning bool
	raisedPriority := renice(os.Getpid(), raised)
	flag.BoolVar(&crowded, "crowd", false, "a flash crowd and the calendar instead: -seconds 120 or so")
	flag.StringVar(&o.starling, "starling", "", "`PATH` of the program")
	flag.IntVar(&o.rate, "rate", 1_000_000, "bytes a second")
	flag.IntVar(&seconds, "seconds", 20, "of each run")
	flag.IntVar(&o.connections, "connections", 200, "of which one is greedy")
	flag.Float64Var(&o.within, "within", 2, "percent that a window of 2 s may be off the rate")
	flag.Float64Var(&o.jain, "jain", 0.98, "least Jain index of all but the greedy one")
	flag.Float64Var(&o.assured, "assured", 97, "percent of its assured rate that a class gets at least")
	flag.DurationVar(&o.wait, "wait", 2*time.Second, "longest wait for an answer")
	flag.IntVar(&spins, "load", 0, "how many processes compete for the processors")
	flag.BoolVar(&spinning, "spin", false, "be one of them")
	flag.Parse()
	if spinning {
		spin()
	}
	stop, err := load(spins)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pacing-bench:", err)
		os.Exit(2)
	}
	o.duration = time.Duration(seconds) * time.Second
	code := o.all(crowded)
	stop()
	fmt.Printf("load: %d competing processes, load average %s at the end; priority of the measurement raised: %v\n", spins, loadAverage(), raisedPriority)
	os.Exit(code)
}

// all runs what is to be measured and returns the code to exit with.
func (o *options) all(crowded bool) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "pacing-bench:", err)
		return 2
	}
	if crowded {
		c := crowd{clients: 2000, rate: 50, length: o.duration}
		good, err := c.measure(os.Stdout, o)
		if err != nil {
			return fail(err)
		}
		if !good {
			return 1
		}
		return 0
	}
	for _, r := range []run{{"regular", []string{"regular"}}, {"classes", []string{"started", "regular", "scrape"}}} {
		f, err := r.measure(o)
		if err != nil {
			return fail(err)
		}
		if !f.print(os.Stdout, o, r) {
			code = 1
		}
	}
	return code
}
