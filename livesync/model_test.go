package livesync

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"starling/wire"
)

// Model is a tracker's store as simple as it can be: what the tests of this
// package join nodes to, and what they compare nodes with.
type Model struct {
	Timeout, Renew time.Duration
	OnChange       func(wire.Record)
	Refuse         func(wire.InfoHash) bool // the access list; nil refuses nothing

	mu       sync.Mutex // guards all below
	torrents map[wire.InfoHash]*modelTorrent
	Applied  []wire.Record
	Learned  []wire.Tell
}

type modelTorrent struct {
	peers      map[wire.Peer]*modelPeer
	downloaded uint64
	announced  time.Time
}

type modelPeer struct {
	seeder, completed bool
	seen, told        time.Time
}

func NewModel() *Model {
	return &Model{
		Timeout:  45 * time.Minute,
		Renew:    10 * time.Minute,
		OnChange: func(wire.Record) {},
		torrents: make(map[wire.InfoHash]*modelTorrent),
	}
}

// Join sets the function values of a node's configuration.
func (m *Model) Join(cfg *Config) {
	cfg.Apply, cfg.Learn, cfg.Lookup, cfg.Tells, cfg.Torrents = m.apply, m.learn, m.lookup, m.tells, m.Count
}

// Fill adds n torrents without peers, numbered from first.
func (m *Model) Fill(now time.Time, first, n int, downloaded uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		t := m.torrentLocked(HashOf(first + i))
		t.downloaded, t.announced = max(t.downloaded, downloaded), now
	}
}

// Announce stores what a client says and tells of it by the rule of plain mode.
func (m *Model) Announce(now time.Time, h wire.InfoHash, p wire.Peer, flags wire.Flags) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if flags&wire.Stopped != 0 {
		m.storeLocked(now, wire.Record{InfoHash: h, Peer: p, Flags: flags})
		m.OnChange(wire.Record{InfoHash: h, Peer: p, Flags: flags})
		return
	}
	var before modelPeer
	known := false
	if t := m.torrents[h]; t != nil && t.peers[p] != nil {
		before, known = *t.peers[p], true
	}
	after := m.storeLocked(now, wire.Record{InfoHash: h, Peer: p, Flags: flags})
	if !known || after.completed != before.completed || after.seeder != before.seeder || now.Sub(before.told) > m.Renew {
		if before.completed {
			flags &^= wire.Complete
		}
		after.told = now
		m.OnChange(wire.Record{InfoHash: h, Peer: p, Flags: flags})
	}
}

func (m *Model) apply(now time.Time, rs []wire.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Applied = append(m.Applied, rs...)
	for _, r := range rs {
		if p := m.storeLocked(now, r); p != nil {
			p.told = now
		}
	}
}

// storeLocked does what a record says and returns its peer, nil when it stopped.
func (m *Model) storeLocked(now time.Time, r wire.Record) *modelPeer {
	if r.Flags&wire.Stopped != 0 {
		if t := m.torrents[r.InfoHash]; t != nil {
			delete(t.peers, r.Peer)
		}
		return nil
	}
	t := m.torrentLocked(r.InfoHash)
	p := t.peers[r.Peer]
	if p == nil {
		p = new(modelPeer)
		t.peers[r.Peer] = p
	}
	if r.Flags.Completion() && !p.completed {
		p.completed = true
		t.downloaded++
	}
	p.seeder, p.seen, t.announced = r.Flags&wire.Seeding != 0, now, now
	return p
}

func (m *Model) torrentLocked(h wire.InfoHash) *modelTorrent {
	t := m.torrents[h]
	if t == nil {
		t = &modelTorrent{peers: make(map[wire.Peer]*modelPeer)}
		m.torrents[h] = t
	}
	return t
}

func (m *Model) learn(now time.Time, e wire.Tell) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Refuse != nil && m.Refuse(e.InfoHash) {
		return false
	}
	m.Learned = append(m.Learned, e)
	if m.torrents[e.InfoHash] == nil {
		m.torrentLocked(e.InfoHash).announced = now.Add(-time.Duration(e.Age) * time.Minute)
		news = true
	}
	t := m.torrents[e.InfoHash]
	if e.Downloaded > t.downloaded {
		t.downloaded = e.Downloaded
		news = true
	}
	return news
}

func (m *Model) lookup(now time.Time, h wire.InfoHash) (wire.Tell, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.torrents[h]
	if t == nil {
		return wire.Tell{}, false
	}
	return wire.Tell{InfoHash: h, Age: uint32(now.Sub(t.announced) / time.Minute), Downloaded: t.downloaded}, true
}

// tells walks the torrents by hash; the cursor is what the hash of the next one starts with.
func (m *Model) tells(now time.Time, cursor uint64, dst []wire.Tell) (n int, next uint64) {
	m.mu.Lock()
	hashes := slices.SortedFunc(maps.Keys(m.torrents), func(a, b wire.InfoHash) int { return bytes.Compare(a[:], b[:]) })
	m.mu.Unlock()
	for _, h := range hashes {
		at := binary.BigEndian.Uint64(h[:])
		if at < cursor {
			continue
		}
		if n == len(dst) {
			return n, at
		}
		dst[n], _ = m.lookup(now, h)
		n++
	}
	return n, 0
}

func (m *Model) Count() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.torrents))
}

// Expire forgets the peers that were silent for the timeout.
func (m *Model) Expire(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.torrents {
		maps.DeleteFunc(t.peers, func(_ wire.Peer, p *modelPeer) bool { return now.Sub(p.seen) >= m.Timeout })
	}
}

// Roles returns every peer held and whether it is a seeder.
func (m *Model) Roles() map[wire.Record]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[wire.Record]bool)
	for h, t := range m.torrents {
		for addr, p := range t.peers {
			all[wire.Record{InfoHash: h, Peer: addr}] = p.seeder
		}
	}
	return all
}

func (m *Model) Has(h wire.InfoHash, p wire.Peer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.torrents[h]
	return t != nil && t.peers[p] != nil
}

func (m *Model) Downloaded(h wire.InfoHash) uint64 {
	t, _ := m.lookup(time.Time{}, h)
	return t.Downloaded
}

// HashOf returns info hash number n, 1 and up. Hashes ascend with their numbers.
func HashOf(n int) wire.InfoHash {
	var h wire.InfoHash
	binary.BigEndian.PutUint64(h[:], uint64(n))
	return h
}

// PeerOf returns peer number n, which has an IPv4 address.
func PeerOf(n int) wire.Peer {
	return wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), uint16(1024+n)))
}

// Peer6Of returns peer number n, which has an IPv6 address.
func Peer6Of(n int) wire.Peer {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n)}
	return wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom16(a), uint16(1024+n)))
}
