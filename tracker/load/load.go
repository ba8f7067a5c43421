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

	"starling/tracker/client"
)

// What a [Config] means where it leaves a field zero.
const (
	DefaultDuration     = 10 * time.Second
	DefaultTorrents     = 1000
	DefaultPeers        = 10000
	DefaultSkew         = 0.8
	DefaultNumWant      = 50
	DefaultInFlight     = 64
	DefaultRateInFlight = 1024
	DefaultTimeout      = 2 * time.Second
)

// Config says what load to make. A field that is zero has its default.
type Config struct {
	// Target is the announce URL, http or udp, with host and port. Redirects are not followed: nothing is loaded that was not named.
	Target *url.URL
	// Duration is how long to load, after the peers were filled in.
	Duration time.Duration
	// Torrents is how many torrents there are; Peers how many peers in all of them.
	Torrents, Peers int
	// Skew says how unevenly: torrent i has peers in proportion to i to the power of -Skew (Zipf). Negative: all have as many.
	Skew float64
	// Sources is how many addresses the peers announce from; more than one only to a tracker on loopback. 0: one.
	Sources int
	// Fill lets each peer announce once before anything is measured. Otherwise they come as they are drawn.
	Fill bool
	// NumWant is how many peers each announce asks for.
	NumWant int
	// InFlight is how many requests are under way at once. More of them raise the rate until the tracker or this
	// machine is busy all the time, and from then on only the latency. With a Rate, it is the most there may be.
	InFlight int
	// Rate is how many requests a second are made, whatever the tracker does (open loop). 0: each answer is followed by the next request (closed loop).
	Rate float64
	// Fresh makes each HTTP request on a connection of its own.
	Fresh bool
	// Timeout is how long an answer may take; one that takes longer, by up to half of it, counts as none.
	Timeout time.Duration
	// Seed makes info hashes and the order of peers repeatable. 0: drawn anew.
	Seed uint64
	// PID is the tracker's process, whose processor time and memory are taken beside. 0: they are not.
	PID int
	// Progress is told every second how the run goes. Nil: nobody is.
	Progress func(Progress)
}

// World is peers and torrents, and what each peer has announced so far: to the same tracker, in one run after the other.
type World struct {
	cfg   Config // of which Torrents, Peers, Skew, Sources and Seed make the world
	local netip.Addr
	pop   *population
	start time.Time
	runs  uint64
}

// run is what the workers of one run share.
type run struct {
	*World
	cfg     Config
	remote  netip.AddrPort
	workers int
	stop    atomic.Bool
}

// Run loads the target until the duration is over or ctx ends, and reports what came of it. It fails when the configuration
// is wrong or the target cannot be reached at the start; what goes wrong later is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	w, err := NewWorld(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return w.Run(ctx, cfg)
}

// NewWorld makes the peers and torrents that cfg asks for. Its target, which is asked for nothing yet, tells from which address they announce.
func NewWorld(ctx context.Context, cfg Config) (*World, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	_, local, err := probe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	sources, err := loopbackSources(cfg.Sources, local)
	if err != nil {
		return nil, err
	}
	return &World{cfg: cfg, local: local, pop: newPopulation(cfg, sources), start: time.Now()}, nil
}

// Run is [Run] with the peers of the world, whatever cfg says of them. Runs of one world come one after the other.
func (w *World) Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Torrents, cfg.Peers, cfg.Skew, cfg.Sources, cfg.Seed = w.cfg.Torrents, w.cfg.Peers, w.cfg.Skew, w.cfg.Sources, w.cfg.Seed
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	remote, local, err := probe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if local != w.local {
		return nil, fmt.Errorf("%s sees us as %v, and the peers have announced from %v", cfg.Target, local, w.local)
	}
	_, err = client.ScrapeURL(cfg.Target)
	w.pop.scrapes = err == nil || cfg.Target.Scheme == "udp"
	r := &run{World: w, cfg: cfg, remote: remote}
	r.workers = r.countWorkers()
	var fill *phase
	if cfg.Fill {
		if fill, err = r.phase(ctx, fillPhase); err != nil {
			return nil, err
		}
	}
	load, err := r.phase(ctx, loadPhase)
	if err != nil {
		return nil, err
	}
	return newReport(r, fill, load), nil
}

// countWorkers returns how many workers there are: one for each connection over HTTP and for each socket over UDP. Each has peers of
// its own and they of one address, so there are as many workers for each source.
func (r *run) countWorkers() int {
	n := r.cfg.InFlight
	if r.cfg.Target.Scheme == "udp" {
		n = (n + window - 1) / window
		if r.cfg.Rate > 0 {
			n = 1
		}
	}
	n = min(max(n, r.cfg.Sources), r.cfg.Peers)
	return n - n%r.cfg.Sources
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
	if c.Skew == 0 {
		c.Skew = DefaultSkew
	}
	if c.Sources == 0 {
		c.Sources = 1
	}
	if c.NumWant == 0 {
		c.NumWant = DefaultNumWant
	}
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
		if c.Rate > 0 {
			c.InFlight = DefaultRateInFlight
		}
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
	maxNumWant  = 1000
	maxInFlight = 10_000
	maxSkew     = 3
	maxRate     = 10_000_000
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
	for _, v := range []struct {
		name   string
		n, max int
	}{
		{"torrents", c.Torrents, maxTorrents},
		{"peers", c.Peers, maxPeers},
		{"sources", c.Sources, min(maxSources, c.Peers)},
		{"peers wanted", c.NumWant, maxNumWant},
		{"requests in flight", c.InFlight, maxInFlight},
	} {
		if v.n < 1 || v.n > v.max {
			return fmt.Errorf("%d %s, want 1 to %d", v.n, v.name, v.max)
		}
	}
	if n, limit := largest(c), portsPer*c.Sources; n > limit {
		return fmt.Errorf("the largest torrent has %d peers, and %d addresses have ports for %d: ask for more sources or torrents", n, c.Sources, limit)
	}
	switch {
	case c.Duration < 0 || c.Timeout < 0:
		return errors.New("a duration is negative")
	case c.Skew > maxSkew:
		return fmt.Errorf("a skew of %v, want at most %d", c.Skew, maxSkew)
	case c.Rate < 0 || c.Rate > maxRate:
		return fmt.Errorf("a rate of %v a second, want at most %d", c.Rate, maxRate)
	case c.Fresh && c.Target.Scheme != "http":
		return errors.New("only over http has a request a connection of its own")
	case c.InFlight < c.Sources:
		return fmt.Errorf("%d requests in flight cannot come from %d sources", c.InFlight, c.Sources)
	}
	return nil
}

// probe finds the target's address, which all workers use then, and the address that it sees of us.
func probe(ctx context.Context, cfg Config) (remote netip.AddrPort, local netip.Addr, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s cannot be reached: %w", cfg.Target, err)
		}
	}()
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

// phase runs the workers through a part of the run.
func (r *run) phase(ctx context.Context, kind phaseKind) (*phase, error) {
	takes := time.Duration(0)
	if kind == loadPhase {
		takes = r.cfg.Duration
	}
	p := newPhase(kind, takes)
	var err error
	if p.before, err = readUsage(r.cfg.PID); err != nil {
		return nil, err
	}
	r.stop.Store(false)
	if kind == loadPhase {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cfg.Duration)
		defer cancel()
		p.pace = newPace(r.cfg.Rate, p.start)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()
	var workers, watch sync.WaitGroup
	all := r.startWorkers(p, &workers)
	watch.Go(func() { p.watch(ctx, &r.cfg, all) })
	workers.Wait()
	cancel()
	watch.Wait()
	for _, w := range all {
		p.tally.add(&w.tally)
	}
	if p.after, err = readUsage(r.cfg.PID); err != nil {
		return nil, err
	}
	return p, nil
}

// startWorkers starts the workers of a phase and returns them.
func (r *run) startWorkers(p *phase, wait *sync.WaitGroup) []*worker {
	r.runs++
	all := make([]*worker, r.workers)
	if p.pace != nil && r.cfg.Target.Scheme == "http" {
		wait.Go(func() { p.pace.dispatch(&r.stop) })
	}
	for i := range all {
		w := &worker{
			run: r, phase: p, number: i,
			rng:   rand.New(rand.NewPCG(r.cfg.Seed, r.runs<<32|uint64(i+1))),
			check: newChecker(r.pop, &r.cfg),
		}
		all[i] = w
		if r.cfg.Target.Scheme == "udp" {
			wait.Go(newUDPWorker(w, min((r.cfg.InFlight+r.workers-1)/r.workers, w.own())).loop)
		} else {
			wait.Go(newHTTPWorker(w).loop)
		}
	}
	return all
}
