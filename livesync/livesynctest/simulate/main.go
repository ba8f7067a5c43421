// Command simulate plays simulated clusters and says which seeds go wrong. See scripts/simulate.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"starling/livesync/livesynctest/cluster"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the command line says.
type options struct {
	seed    int64
	seeds   uint64
	first   uint64
	mode    string
	trace   bool
	whole   bool
	workers int
	without []cluster.Kind
}

// schedule returns the schedule of a seed.
func (o *options) schedule(seed uint64, mode string) *cluster.Schedule {
	if mode == "mixed" {
		return cluster.NewMixed(seed).Without(o.without)
	}
	return cluster.New(seed, mode == "keyed").Without(o.without)
}

// parseWithout reads the kinds of events that are left out.
func (o *options) parseWithout(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		kind, err := cluster.ParseKind(name)
		if err != nil {
			return err
		}
		o.without = append(o.without, kind)
	}
	return nil
}

const usage = `simulate plays clusters on a simulated network, each from a seed, and compares every node with a model.

  scripts/simulate -seeds 1000              seeds 0 to 999, half of them plain, half keyed
  scripts/simulate -seeds 1000 -mode keyed  all keyed
  scripts/simulate -seeds 1000 -mode mixed  all with a key on some nodes only
  scripts/simulate -seed 17 -mode keyed     one seed; when it fails, as few of its events as still fail
  scripts/simulate -seed 17 -mode keyed -trace   and everything that happens in that smaller schedule

`

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	f := flag.NewFlagSet("simulate", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Int64Var(&o.seed, "seed", -1, "play this `seed` only")
	f.Uint64Var(&o.seeds, "seeds", 200, "how many seeds to play")
	f.Uint64Var(&o.first, "first", 0, "the first of them")
	f.StringVar(&o.mode, "mode", "both", "plain, keyed, mixed, or both of the first two")
	f.BoolVar(&o.trace, "trace", false, "with -seed: print all that happens")
	f.BoolVar(&o.whole, "whole", false, "with -seed: do not make the schedule smaller")
	f.Func("without", "leave out all events of these `kinds`: noise,crash", o.parseWithout)
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many seeds are played at once")
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	if err := f.Parse(args); err != nil {
		return 2
	}
	if o.mode != "plain" && o.mode != "keyed" && o.mode != "mixed" && (o.mode != "both" || o.seed >= 0) || f.NArg() > 0 {
		fmt.Fprintln(stderr, "simulate: -mode is plain, keyed, mixed, or, without -seed, both; there are no arguments")
		return 2
	}
	if o.seed >= 0 {
		return one(&o, stdout)
	}
	return many(&o, stdout, stderr)
}

// one plays one seed and says all about it.
func one(o *options, stdout io.Writer) int {
	s := o.schedule(uint64(o.seed), o.mode)
	r := s.Run(nil)
	if len(r.Faults) > 0 && !o.whole {
		s = s.Minimize()
	}
	if o.trace {
		r = s.Run(stdout)
	} else {
		r = s.Run(nil)
	}
	fmt.Fprint(stdout, s)
	for _, f := range r.Faults {
		fmt.Fprintf(stdout, "WRONG: %s\n", f)
	}
	fmt.Fprintf(stdout, "digest %016x, %+v\n", r.Digest, r.Stats)
	if len(r.Faults) > 0 {
		return 1
	}
	return 0
}

// tally sums up the seeds of one mode.
type tally struct {
	mode   string
	seeds  uint64
	failed []uint64
	stats  cluster.Stats
}

// job is one seed to be played.
type job struct {
	seed uint64
	mode *tally
}

// many plays seeds on all processors.
func many(o *options, stdout, stderr io.Writer) int {
	plain, keyed, mixed := &tally{mode: "plain"}, &tally{mode: "keyed"}, &tally{mode: "mixed"}
	all := []*tally{plain, keyed, mixed}
	jobs := make(chan job)
	var mu sync.Mutex // guards the tallies and what is printed
	var wg sync.WaitGroup
	var done atomic.Uint64
	for range o.workers {
		wg.Go(func() {
			for j := range jobs {
				s := o.schedule(j.seed, j.mode.mode)
				r := s.Run(nil)
				done.Add(1)
				mu.Lock()
				j.mode.add(j.seed, &r, stdout)
				mu.Unlock()
			}
		})
	}
	start := time.Now()
	shown := start
	for i := range o.seeds {
		j := job{o.first + i, plain}
		if o.mode == "keyed" || o.mode == "both" && i%2 == 1 {
			j.mode = keyed
		}
		if o.mode == "mixed" {
			j.mode = mixed
		}
		jobs <- j
		if time.Since(shown) > 10*time.Second {
			shown = time.Now()
			fmt.Fprintf(stderr, "%d of %d seeds, %s\n", done.Load(), o.seeds, time.Since(start).Round(time.Second))
		}
	}
	close(jobs)
	wg.Wait()
	fmt.Fprintf(stdout, "%-6s %8s %8s %12s %12s %10s %10s %12s %10s %10s %9s %10s %6s\n", "mode", "seeds", "failed",
		"packets", "delivered", "lost", "overflowed", "applied", "repaired", "refused", "caught up", "in peace", "late")
	for _, t := range all {
		if t.seeds > 0 {
			fmt.Fprintf(stdout, "%-6s %8d %8d %12d %12d %10d %10d %12d %10d %10d %9d %10d %6d\n", t.mode, t.seeds, len(t.failed), t.stats.Packets,
				t.stats.Delivered, t.stats.Lost, t.stats.Overflowed, t.stats.Applied, t.stats.Repaired, t.stats.Refused, t.stats.CaughtUp,
				t.stats.Peace, t.stats.Late)
		}
	}
	for _, t := range all {
		if len(t.failed) > said {
			slices.Sort(t.failed)
			fmt.Fprintf(stdout, "failed %s: %d\n", t.mode, t.failed[:min(len(t.failed), 1000)])
		}
	}
	fmt.Fprintf(stdout, "%d seeds in %s\n", o.seeds, time.Since(start).Round(100*time.Millisecond))
	if slices.ContainsFunc(all, func(t *tally) bool { return len(t.failed) > 0 }) {
		return 1
	}
	return 0
}

// said is of how many failed seeds of a mode everything is said.
const said = 20

// add adds a run, and says how to see it again when it went wrong.
func (t *tally) add(seed uint64, r *cluster.Result, stdout io.Writer) {
	t.seeds++
	t.stats.Add(r.Stats)
	if len(r.Faults) == 0 {
		return
	}
	t.failed = append(t.failed, seed)
	if len(t.failed) > said {
		return
	}
	fmt.Fprintf(stdout, "scripts/simulate -seed %d -mode %s\n\t%s\n", seed, t.mode, strings.Join(r.Faults[:min(3, len(r.Faults))], "\n\t"))
}
