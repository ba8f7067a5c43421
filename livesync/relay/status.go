package relay

import "time"

// Status is what a relay knows of itself.
type Status struct {
	Servers   string // as they were given, without what is secret
	Connected bool
	Server    string    // host and port of the one that it is connected to, or was last
	Since     time.Time // when that turned; zero: it has not been connected yet
	Connects  uint64    // how often it was connected
	Error     string    // the last one
	ErrorAt   time.Time

	Sent     Traffic // packets
	Received Traffic
	Dropped  Dropped
	Streams  Streams
}

// Traffic counts messages that went one way.
type Traffic struct{ Packets, Bytes uint64 }

func (t *Traffic) add(bytes int) {
	t.Packets++
	t.Bytes += uint64(bytes)
}

// Dropped counts what was thrown away since the start, by reason.
type Dropped struct {
	Full    uint64 // packets that left while too many waited for the server
	CutOff  uint64 // packets that left while there was no server
	Slow    uint64 // messages that came faster than they were taken in
	Own     uint64 // messages of our own that the server returned
	Foreign uint64 // messages that do not say who published them: not of a relay
}

// Streams counts connections for catching up, and their frames.
type Streams struct {
	Open           int
	Opened, Broken uint64
	Sent, Received Traffic
}

// Status returns what the relay knows of itself.
func (r *Relay) Status() Status {
	r.mu.Lock()
	s, b := r.status, r.bus
	r.mu.Unlock()
	s.Connected = b != nil
	t := r.tunnels
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Streams.Open, s.Streams.Opened, s.Streams.Broken = len(t.conns), t.opened, t.broken
	return s
}

// fail remembers an error.
func (s *Status) fail(now time.Time, err error) { s.Error, s.ErrorAt = err.Error(), now }

// connected is told that there is a server.
func (r *Relay) connected(now time.Time, server string, b *bus) {
	r.mu.Lock()
	r.bus = b
	s := &r.status
	s.Server, s.Since = server, now
	s.Connects++
	again := s.Connects > 1
	r.mu.Unlock()
	r.log.Info().Str("server", server).Str("subject", r.subjects[0]).Bool("again", again).Msg("the relay is connected")
	r.changed(now)
}

// cutOff is told that the server is gone, or cannot be had.
func (r *Relay) cutOff(now time.Time, why error) {
	r.mu.Lock()
	had, s := r.bus != nil, &r.status
	first := had || s.Connects == 0 && s.Error == "" // and not one try after the other
	r.bus = nil
	if had {
		s.Since = now
	}
	if why != nil {
		s.fail(now, why)
	}
	r.mu.Unlock()
	r.tunnels.cutOff()
	if first {
		r.log.Warn().Str("servers", r.cfg.Servers.String()).AnErr("reason", why).
			Msg("the relay has no server: nodes of other segments look lost until it is back; clients are served on")
		r.changed(now)
	}
}

// leave gives the server up, and reports whether there is one.
func (r *Relay) leave() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := r.bus != nil
	r.bus = nil
	return had
}

// slow is told how many messages nats.go had no room for.
func (r *Relay) slow(now time.Time, messages int, err error) {
	r.count(func(s *Status) { s.Dropped.Slow += uint64(messages); s.fail(now, err) })
}

// troubled is told of an error that ends nothing, such as a subject that the account may not use.
func (r *Relay) troubled(now time.Time, err error) {
	r.count(func(s *Status) { s.fail(now, err) })
	r.log.Warn().AnErr("reason", err).Msg("the relay's server refuses something")
}

func (r *Relay) changed(now time.Time) {
	if r.cfg.Changed != nil {
		r.cfg.Changed(now, r.Status())
	}
}
