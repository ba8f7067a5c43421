package seal

import (
	"net/netip"
	"time"
)

const (
	// derivations is how many keys are derived a second at most. One is some 2 us.
	derivations = 200
	// share is how many of them packets from one address can cause: who floods us keeps nobody else from being believed. A newcomer needs
	// one or two.
	share = 20
	// maxAddresses is how many addresses are told apart; those beyond share what one may spend.
	maxAddresses = 256
)

// bucket holds tokens that come back with time.
type bucket struct {
	tokens float64
	filled time.Time
}

// fill lets a bucket have what came back since it was filled last, so many a second and as many at most.
func (b *bucket) fill(now time.Time, rate float64) {
	switch d := now.Sub(b.filled); {
	case b.filled.IsZero():
		b.tokens = rate
	case d > 0: // else the clock was set back, and time begins anew
		b.tokens = min(rate, b.tokens+d.Seconds()*rate)
	}
	b.filled = now
}

// spending bounds how many keys are derived for packets of senders that nobody knows.
type spending struct {
	all  bucket
	by   map[netip.Addr]*bucket
	rest bucket // of addresses for which there is no room
}

// may takes a token for the derivation of one key, which a packet from an address asks for.
func (s *spending) may(now time.Time, from netip.Addr) bool {
	own := s.of(now, from)
	own.fill(now, share)
	s.all.fill(now, derivations)
	if own.tokens < 1 || s.all.tokens < 1 {
		return false
	}
	own.tokens--
	s.all.tokens--
	return true
}

// of returns the bucket of an address. When there is no room those are forgotten that are full again.
func (s *spending) of(now time.Time, from netip.Addr) *bucket {
	if b := s.by[from]; b != nil {
		return b
	}
	if len(s.by) >= maxAddresses {
		for a, b := range s.by {
			if now.Sub(b.filled) >= time.Second || now.Before(b.filled) {
				delete(s.by, a)
			}
		}
	}
	if len(s.by) >= maxAddresses {
		return &s.rest
	}
	if s.by == nil {
		s.by = make(map[netip.Addr]*bucket)
	}
	b := new(bucket)
	s.by[from] = b
	return b
}
