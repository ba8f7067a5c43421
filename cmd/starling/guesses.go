package main

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// The bounds of guessing.
const (
	guessBurst   = 10              // wrong tokens running from one source
	guessEvery   = 6 * time.Second // and then one in this time
	maxGuessers  = 1024            // sources that are remembered
	maxKnown     = 64              // sources of right tokens, likewise
	knownFor     = 24 * time.Hour  // how long they are
	guesserBits6 = 64              // of an IPv6 address: who has one has all of these
)

// guesses bounds how often each source may give a wrong token. The zero value is ready.
//
// Who has the right token is heard beside others that guess: those from elsewhere never count for it, and at an address from which it came before, such as
// that of a proxy which they share, it is heard however many wrong ones come from there. Nobody can be told apart for ever: of too many sources
// that one is forgotten whose wrong tokens would be forgotten first.
type guesses struct {
	mu    sync.Mutex               // guards the rest
	free  map[netip.Addr]time.Time // when the wrong tokens of a source are forgotten
	known map[netip.Addr]time.Time // when the right token came from a source last
}

// guesserOf returns who is behind the other end of a connection: an IPv4 address or an IPv6 network.
func guesserOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(guesserBits6)
		return network.Addr()
	}
	return addr
}

// take counts a token of a source as a wrong one, before it is looked at, or returns for how long the source is not heard.
func (g *guesses) take(now time.Time, from netip.Addr) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == nil {
		g.free = make(map[netip.Addr]time.Time)
	}
	free, old := g.free[from]
	if free.Before(now) {
		free = now
	}
	if wait = free.Sub(now) - (guessBurst-1)*guessEvery; wait > 0 {
		return wait
	}
	if !old && len(g.free) >= maxGuessers {
		maps.DeleteFunc(g.free, func(_ netip.Addr, free time.Time) bool { return !free.After(now) })
		makeRoom(g.free, maxGuessers)
	}
	g.free[from] = free.Add(guessEvery)
	return 0
}

// right takes back what take counted: the token was right.
func (g *guesses) right(now time.Time, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if free, ok := g.free[from]; ok {
		g.free[from] = free.Add(-guessEvery)
	}
	if g.known == nil {
		g.known = make(map[netip.Addr]time.Time)
	}
	if _, old := g.known[from]; !old {
		makeRoom(g.known, maxKnown)
	}
	g.known[from] = now
}

// knows reports whether the right token came from a source not long ago.
func (g *guesses) knows(now time.Time, from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, ok := g.known[from]
	return ok && now.Sub(last) < knownFor
}

// forget is told that there is another token.
func (g *guesses) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.known)
}

// makeRoom takes the earliest source out of a table that is full.
func makeRoom(table map[netip.Addr]time.Time, most int) {
	if len(table) < most {
		return
	}
	var earliest netip.Addr
	var at time.Time
	for from, t := range table {
		if at.IsZero() || t.Before(at) {
			earliest, at = from, t
		}
	}
	delete(table, earliest)
}
