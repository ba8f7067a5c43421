package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// What a [Config] means where it leaves a field zero.
const (
	DefaultDuration = 10 * time.Second
	DefaultTorrents = 1000
	DefaultPeers    = 10000
	DefaultInFlight = 64
	DefaultTimeout  = 2 * time.Second
)

// numWant is how many peers each announce asks for.
const numWant = 50

// Config says what load to make. A field that is zero has its default.
type Config struct {
	// Target is the announce URL, http or udp, with host and port. Redirects are not followed: nothing is loaded that was not named.
	Target *url.URL
	// Duration is how long to announce.
	Duration time.Duration
	// Torrents is how many torrents there are; Peers how many peers in all of them.
	Torrents, Peers int
	// InFlight is how many announces are on their way at once. More of them raise the rate until the tracker or this
	// machine is busy all the time, and from then on only the latency.
	InFlight int
	// Timeout is how long an answer may take; one that takes longer, by up to half of it, counts as none.
	Timeout time.Duration
	// Seed makes info hashes and the order of peers repeatable. 0: drawn anew.
	Seed uint64
}

// run is what the workers of one run share.
type run struct {
	cfg    Config
	remote netip.AddrPort
	pop    *population
	start  time.Time
	stop   atomic.Bool
}

// Run loads the target until the duration is over or ctx ends, and reports what came of it. It fails when the configuration
// is wrong or the target cannot be reached at the start; what goes wrong later is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	remote, local, err := probe(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be reached: %w", cfg.Target, err)
	}
	r := &run{cfg: cfg, remote: remote, pop: newPopulation(cfg, local), start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()

	var workers sync.WaitGroup
	tallies := r.startWorkers(&workers)
	<-ctx.Done()
	elapsed := time.Since(r.start) // without the wait for what is still in flight
	workers.Wait()
	return newReport(r, elapsed, tallies), nil
}

// startWorkers starts them and returns what they count, to be read when all have ended.
func (r *run) startWorkers(workers *sync.WaitGroup) []*tally {
	per := 1
	if r.cfg.Target.Scheme == "udp" {
		per = window
	}
	var tallies []*tally
	for n := r.cfg.InFlight; n > 0; n -= per {
		w := &worker{
			run:   r,
			rng:   rand.New(rand.NewPCG(r.cfg.Seed, uint64(n))),
			check: newChecker(r.pop),
		}
		tallies = append(tallies, &w.tally)
		if r.cfg.Target.Scheme == "udp" {
			workers.Go(newUDPWorker(w, min(n, per)).loop)
		} else {
			workers.Go(newHTTPWorker(w).loop)
		}
	}
	return tallies
}

func (c Config) withDefaults() Config {
	if c.Duration == 0 {
		c.Duration = DefaultDuration
	}
	if c.Torrents == 0 {
		c.Torrents = DefaultTorrents
	}
	if c.Peers == 0 {
		c.Peers = DefaultPeers
	}
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	return c
}

// Bounds of what one run may be asked for; they keep its memory under about a gigabyte.
const (
	maxTorrents = 10_000_000
	maxPeers    = 100_000_000
	maxInFlight = 10_000
)

// Check says what is wrong with the configuration, before anything is sent.
func (c Config) Check() error {
	c = c.withDefaults()
	if c.Target == nil || c.Target.Scheme != "http" && c.Target.Scheme != "udp" {
		return errors.New("load is made for a target of scheme http or udp")
	}
	if c.Target.Hostname() == "" || c.Target.Port() == "" {
		return fmt.Errorf("target %s must name its host and its port", c.Target)
	}
	if c.Torrents < 1 {
		return fmt.Errorf("%d torrents", c.Torrents)
	}
	for _, v := range []struct {
		name   string
		n, max int
	}{
		{"torrents", c.Torrents, maxTorrents},
		{"peers", c.Peers, maxPeers},
		{"peers of one torrent", perTorrent(c), maxPerTorrent},
		{"announces in flight", c.InFlight, maxInFlight},
	} {
		if v.n < 1 || v.n > v.max {
			return fmt.Errorf("%d %s, want 1 to %d", v.n, v.name, v.max)
		}
	}
	if c.Duration < 0 || c.Timeout < 0 {
		return errors.New("a duration is negative")
	}
	return nil
}

// probe finds the target's address, which all workers use then, and the address that it sees of us.
func probe(ctx context.Context, cfg Config) (remote netip.AddrPort, local netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	network := "tcp"
	if cfg.Target.Scheme == "udp" {
		network = "udp"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, cfg.Target.Host)
	if err != nil {
		return remote, local, err
	}
	defer conn.Close()
	if network == "udp" {
		if _, err := connectUDP(conn, cfg.Timeout); err != nil {
			return remote, local, err
		}
	}
	remote, err = netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return remote, local, err
	}
	own, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return remote, own.Addr().Unmap().WithZone(""), err
}

// worker is what both kinds of worker have.
type worker struct {
	*run
	rng   *rand.Rand
	check *checker
	tally tally
}

// judge counts the answer to the announce of peer k that took the given time.
func (w *worker) judge(k int, a *answer, took time.Duration) {
	w.tally.latency.Record(took)
	if wrong := w.check.check(k, a); wrong != isRight {
		w.tally.wrong[wrong]++
		return
	}
	w.tally.right++
}

// pause keeps a worker whose connection fails from trying without a break.
func (w *worker) pause() { time.Sleep(50 * time.Millisecond) }
