package tracker

// Under pressure a table of many peers becomes a sample of them: only those are kept whose hash begins with so many zero bits, the level of
// the directory. Which these are is a matter of the secret key alone, so that each peer is as likely as any other, and comes, returns,
// completes and leaves as if it were the only kind there is. So the sample is always one of 2^level equal parts of the swarm, and the count that clients get
// is that of the sample times 2^level: with 4096 peers it is right to 1.6 %, however many there are (Gibbons, "Distinct sampling for
// highly-accurate answers to distinct values queries"). Nobody gets more than a few hundred peers of a swarm anyway.
//
//	pressure full       level up, for each table with more than sampleLeast peers, once a sweep, which takes out the other half
//	calm again, or a    level down, to 0 if the swarm is smaller than a table that becomes a sample: peers of the larger sample are
//	swarm that shrank   kept from then on. For the peer timeout only the smaller one is counted, then all have come back and it is the larger one's turn
const (
	// sampleLeast is how many peers a table has at least that becomes a sample, or a smaller one.
	sampleLeast = 4096
	// sampleLevels is the highest level: 65,536 peers for each one kept.
	sampleLevels = 16
)

// sampling says which peers of a directory are kept.
type sampling struct {
	keeps   uint8  // level of the peers that are kept
	counts  uint8  // level of those that are counted; it is higher for the peer timeout after a level came down
	uneven  bool   // the level went up while a sweep was inside
	counted int32  // peers that are kept and counted, when the level is not 0
	since   uint64 // tick in which keeps came down
}

// outside reports whether a hash is not in the sample of a level.
func outside(hash uint32, level uint8) bool { return hash>>(32-level) != 0 }

// size returns how many peers are counted, before they are multiplied.
func (d *directory) size() int {
	if d.sample.counts == 0 {
		return d.peers
	}
	return int(d.sample.counted)
}

// note adds n to the number of peers that are counted, if the one with that hash is.
func (d *directory) note(hash uint32, n int32) {
	if d.sample.counts != 0 && !outside(hash, d.sample.counts) {
		d.sample.counted += n
	}
}

// estimate returns how many peers a table's swarm has.
func (s *swarms) estimate(t slot) uint32 {
	if !t.isDirectory() {
		return uint32(t.count())
	}
	d := &s.directories[t.ref()]
	return uint32(min(uint64(d.size())<<d.sample.counts, 1<<32-1))
}

// tighten lets half of the peers be kept of which a table keeps all now. The next sweep takes out the others.
func (d *directory) tighten() {
	p := &d.sample
	switch {
	case p.keeps < p.counts:
		p.keeps = p.counts
	case p.keeps < sampleLevels:
		half := int32(d.size() / 2)
		*p = sampling{keeps: p.keeps + 1, counts: p.counts + 1, counted: half}
	}
	p.uneven = d.swept > 0
}

// resample changes the level of a table, before a sweep goes through it.
func (s *shard) resample(d *directory) {
	p := &d.sample
	p.uneven = false
	switch {
	case s.mem == nil:
	case s.mem.full() && d.size() >= sampleLeast:
		d.tighten()
	case p.keeps < p.counts && s.seen.tick-p.since > timeoutTicks:
		*p = sampling{keeps: p.keeps, counts: p.keeps, counted: int32(d.peers)}
	case p.keeps > 0 && p.keeps == p.counts && (s.mem.calm() || d.size() < sampleLeast/4):
		if p.keeps--; d.size()<<p.counts < sampleLeast {
			p.keeps = 0
		}
		p.since = s.seen.tick
	}
}

// recount ends a sweep of a table, in which there are none but peers that are kept.
func (d *directory) recount() {
	if p := &d.sample; p.keeps != 0 && p.keeps == p.counts && !p.uneven {
		p.counted = int32(d.peers)
	}
}
