package tracker

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
)

// places bounds how many connections are open at once, in all and for each client. A connection that is answered as soon as it is
// accepted, and closed with the answer, takes no place: there is never more than one of those for each processor. Handshakes under way are bounded likewise.
//
// A client is an IPv4 address or the /56 that an IPv6 address is in, which is what one household or one server has. Connections from
// this host and from the trusted proxies count in all only: behind them are others.
type places struct {
	most, each    int64
	full, crowded refusal // of who finds no place: in all, of those for its client
	exempt        *sources
	taken         atomic.Int64
	parts         [64]placesPart
}

// placesPart knows of some of the clients.
type placesPart struct {
	mu   sync.Mutex
	open map[uint64]int32 // by placeOf; only those that have a connection
	_    [40]byte         // the next one is on another line
}

// clientBits6 is how much of an IPv6 address names the client.
const clientBits6 = 56

// placeOf returns the number under which a client is counted. Addresses of IPv4 are apart from those of IPv6 by their upper half.
func placeOf(client netip.Addr) uint64 {
	if client.Is4() {
		a := client.As4()
		return 1<<63 | uint64(binary.BigEndian.Uint32(a[:]))
	}
	a := client.As16()
	return binary.BigEndian.Uint64(a[:8]) >> (64 - clientBits6)
}

// counted reports whether connections from an address, unmapped, are bounded for themselves, and returns the number they are counted under.
func (p *places) counted(from netip.Addr) (number uint64, ok bool) {
	if !from.IsValid() || from.IsLoopback() || p.exempt.proxy(from.WithZone("")) {
		return 0, false
	}
	return placeOf(from), true
}

// part returns where a number is counted. Clients choose no IPv4 address, and of IPv6 ones only those that lie side by side.
func (p *places) part(number uint64) *placesPart {
	return &p.parts[number*0x9e3779b97f4a7c15>>58]
}

// take takes a place for a connection from a client. ok is false when there is none left; why says of which kind.
func (p *places) take(from netip.Addr) (why refusal, ok bool) {
	if p.taken.Add(1) > p.most {
		p.taken.Add(-1)
		return p.full, false
	}
	if number, counted := p.counted(from.Unmap()); counted && !p.part(number).take(number, p.each) {
		p.taken.Add(-1)
		return p.crowded, false
	}
	return 0, true
}

// leave gives back a place that was taken.
func (p *places) leave(from netip.Addr) {
	p.taken.Add(-1)
	if number, counted := p.counted(from.Unmap()); counted {
		p.part(number).leave(number)
	}
}

func (p *placesPart) take(number uint64, each int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.open[number]
	if int64(n) >= each {
		return false
	}
	if p.open == nil {
		p.open = make(map[uint64]int32)
	}
	p.open[number] = n + 1
	return true
}

func (p *placesPart) leave(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.open[number]; n > 1 {
		p.open[number] = n - 1
	} else {
		delete(p.open, number)
	}
}
