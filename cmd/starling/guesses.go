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
	maxGuessers  = 1024            // sources that are told apart
	guesserBits6 = 64              // of an IPv6 address: who has one has all of these
)

// guesses bounds how often each source may give a wrong token. The zero value is ready.
type guesses struct {
	mu   sync.Mutex               // guards free
	free map[netip.Addr]time.Time // when the wrong tokens of a source are forgotten
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
	if len(g.free) >= maxGuessers {
		maps.DeleteFunc(g.free, func(_ netip.Addr, free time.Time) bool { return !free.After(now) })
	}
	from = g.known(from)
	free := g.free[from]
	if free.Before(now) {
		free = now
	}
	if wait = free.Sub(now) - (guessBurst-1)*guessEvery; wait > 0 {
		return wait
	}
	g.free[from] = free.Add(guessEvery)
	return 0
}

// right takes back what take counted: the token was right.
func (g *guesses) right(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from = g.known(from)
	if free, ok := g.free[from]; ok {
		g.free[from] = free.Add(-guessEvery)
	}
}

// known returns under which address a source is counted: those for whom there is no room share one.
func (g *guesses) known(from netip.Addr) netip.Addr {
	if _, ok := g.free[from]; !ok && len(g.free) >= maxGuessers {
		return netip.Addr{}
	}
	return from
}
