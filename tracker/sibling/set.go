package sibling

import (
	"bytes"
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"starling/tracker/pacer"
)

// Marker is the parameter that says that a client was sent here by another tracker.
const Marker = "starling-redirected"

// maxLocation bounds the address that a client is sent to, in bytes; a request that would need more is answered here.
const maxLocation = 4 << 10

// Config is what a Set needs to know.
type Config struct {
	Siblings []Sibling
	// Mode, Silent, Idle and Probe are those of pacer.HealthConfig.
	Mode                pacer.HealthMode
	Silent, Idle, Probe time.Duration
	// Log receives who goes down and comes up.
	Log zerolog.Logger
	// Transport carries the probes. Tests only; nil: TCP, without a proxy.
	Transport http.RoundTripper
}

// Set knows the siblings. Run is its whole life; without it nobody is ever up.
type Set struct {
	cfg    Config
	client http.Client

	mu   sync.Mutex // guards all below and what is in them
	all  []*state
	turn int // who is sent the next client, if it can take it
}

// state is what is known of one sibling.
type state struct {
	Sibling
	health  *pacer.Health
	addr    netip.Addr // where its health was asked; not valid while it never answered
	probing bool
	room    bool   // it did not say that it has none
	up      bool   // as the log has it
	trouble string // why the last probe failed
	chosen  uint64 // for so many clients
}

// New returns a set whose siblings are down until something is known of them.
func New(cfg Config, now time.Time) *Set {
	s := &Set{cfg: cfg, client: http.Client{
		Transport:     cfg.Transport,
		Timeout:       probeTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if cfg.Transport == nil {
		s.client.Transport = &http.Transport{Proxy: nil, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead}
	}
	health := pacer.HealthConfig{Mode: cfg.Mode, Silent: cfg.Silent, Idle: cfg.Idle, Probe: cfg.Probe, Address: true}
	unheard := now.Add(-max(cfg.Silent, cfg.Idle, cfg.Probe))
	for _, b := range cfg.Siblings {
		s.all = append(s.all, &state{Sibling: b, health: pacer.NewHealth(health, unheard), room: true})
	}
	return s
}

// Redirect appends to dst where to send a client whose request, a path and a query, cannot be served here; ok is false
// when it was sent here itself, or nobody is up and has room. Those who are take turns.
func (s *Set) Redirect(now time.Time, dst, path, query []byte) (location []byte, ok bool) {
	if bytes.Contains(query, []byte(Marker+"=")) || bytes.ContainsFunc(query, unsafeInLocation) {
		return dst, false
	}
	b := s.next(now, len(path)+len(query)+len(Marker)+len("?&=1"))
	if b == nil {
		return dst, false
	}
	location = append(dst, b.Base...)
	location = append(append(location, path...), '?')
	if len(query) > 0 {
		location = append(append(location, query...), '&')
	}
	return append(location, Marker+"=1"...), true
}

// unsafeInLocation reports whether a character cannot stand in a query as it is: behind a # nobody would send the marker.
func unsafeInLocation(r rune) bool { return r == '#' || unsafeInHeader(r) }

// unsafeInHeader reports whether a character cannot stand in a header as it is.
func unsafeInHeader(r rune) bool { return r <= ' ' || r >= 0x7f }

// next returns the sibling whose turn it is and counts the client, nil when there is none that can take it.
func (s *Set) next(now time.Time, length int) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.all {
		b := s.all[s.turn%len(s.all)]
		s.turn++
		if b.room && b.health.Up(now) && len(b.Base)+length <= maxLocation {
			b.chosen++
			return b
		}
	}
	return nil
}

// Heard says that a packet came from an address at a time.
func (s *Set) Heard(at time.Time, from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all {
		if b.addr == from && from.IsValid() {
			b.health.Heard(at)
		}
	}
}

// Look returns whether a sibling at an address is up; known is false when there is none, or none that ever answered.
// Of several there one must be up.
func (s *Set) Look(now time.Time, addr netip.Addr) (up, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all {
		if b.addr == addr && addr.IsValid() {
			up, known = up || b.health.Up(now), true
		}
	}
	return up, known
}

// Stats is what is known of one sibling.
type Stats struct {
	Sibling
	Up, Room bool
	Trouble  string // why the last probe failed; empty: it did not
	Chosen   uint64 // for so many clients, a few of whom were answered here with less after all
}

// Stats returns what is known, in the order of the configuration.
func (s *Set) Stats(now time.Time) []Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Stats, len(s.all))
	for i, b := range s.all {
		all[i] = Stats{Sibling: b.Sibling, Up: b.health.Up(now), Room: b.room, Trouble: b.trouble, Chosen: b.chosen}
	}
	return all
}

// Run probes the siblings until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer probes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Now()
		for _, b := range s.due(now) {
			probes.Go(func() { s.probed(b, s.probe(ctx, b.Health)) })
		}
		timer.Reset(s.wait(now))
	}
}

// lookAgain is how often siblings are looked at: how late a probe may be, and the log.
const lookAgain = time.Second

// due returns whom to probe now, and notes that it is done.
func (s *Set) due(now time.Time) (due []*state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all {
		if !b.probing && b.health.Due(now) {
			b.probing = true
			due = append(due, b)
		}
		s.logLocked(now, b)
	}
	return due
}

// wait returns for how long there is nothing to do.
func (s *Set) wait(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := lookAgain
	for _, b := range s.all {
		if at, ok := b.health.Next(); ok && !b.probing {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// probed takes in what came of a probe.
func (s *Set) probed(b *state, r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.probing = false
	if r.ended {
		return
	}
	b.trouble = r.trouble
	b.health.Probed(r.trouble == "")
	if r.addr.IsValid() {
		b.addr = r.addr
	}
	if r.trouble == "" {
		b.room = r.room
	}
	s.logLocked(time.Now(), b)
}

// logLocked tells the log of a change. The caller holds s.mu.
func (s *Set) logLocked(now time.Time, b *state) {
	up := b.health.Up(now)
	if up == b.up {
		return
	}
	b.up = up
	if up {
		s.cfg.Log.Info().Str("sibling", b.Base).Msg("a sibling is up")
		return
	}
	s.cfg.Log.Warn().Str("sibling", b.Base).Str("health", b.Health).Str("reason", b.trouble).
		Msg("a sibling is down: no client is sent there")
}
