package seal

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"starling/wire"
)

const (
	// maxSenders bounds the table; only who had the key once gets into it.
	maxSenders = 256
	// maxEpochs bounds what is remembered of one sender: the present epoch, and others that are closed or not proven.
	maxEpochs = 5
	// closingTime is how long packets of an epoch whose sequences ran out are still taken.
	closingTime = 10 * time.Second
	// closedMemory is how long a closed epoch is remembered: longer than a challenge is good for, so that it cannot be proven again.
	closedMemory = time.Minute
	// silence is after how long without a STATE an epoch has to return our challenge again: what was sent while we did not hear it may have
	// been recorded, and be played when its sender is no more. Its window of sequences does not help, since we have seen none of that.
	silence = challengeLife * challengeMemory
	// staleness is how much earlier a first STATE may have been sent than it came, by its sender's clock and ours.
	staleness = time.Second
	// echoTime is how long a challenge is returned after it was heard: ten times as long as it takes to hear another.
	echoTime = 10 * time.Second
)

// Verdict is what an [Opener] makes of a packet.
type Verdict uint8

// The verdicts. Only a packet that is [Proven] may change anything; a STATE that is [Verified] may be answered with an echo.
const (
	Forged   Verdict = iota // its tag is wrong
	Replayed                // it, or all of its epoch, was seen before
	Unproven                // of an (id, epoch) that has not returned our challenge
	Busy                    // of an unknown epoch, while too many keys were derived
	Verified                // a STATE whose epoch is not proven
	Proven                  // believed
)

var verdictNames = [...]string{Forged: "forged", Replayed: "replayed", Unproven: "unproven", Busy: "busy", Verified: "verified", Proven: "proven"}

func (v Verdict) String() string { return verdictNames[v] }

// status is where an epoch stands.
type status uint8

const (
	candidate status = iota
	current
	closing
	closed
)

// epoch is one life of a sender.
type epoch struct {
	number uint64
	status status
	since  time.Time // when it came to be current, closing or closed; of a candidate when it was heard last
	key    int       // which one verifies
	tagger tagger
	seen   [wire.Spaces]Window // tells and control packets
	heard  bool                // a STATE was, and what follows comes from it

	first     [wire.Spaces]uint32 // the sender's next sequences, from its first STATE
	met       time.Time           // when that came
	sent      int64               // and when it was sent, by the sender's clock
	newest    uint32              // the sequence of its latest STATE
	challenge wire.Challenge      // from that
	at        time.Time           // when it came
}

// sender is what is known of an id.
type sender struct {
	heard  time.Time
	proof  time.Time // when one of its epochs was proven last
	key    int       // the one that verified last, tried first
	epochs []*epoch
}

// Opener checks the packets of all other nodes. Its methods must not run at the same time.
type Opener struct {
	keys    Keys
	senders map[wire.NodeID]*sender
	spent   spending
	turn    int // of the next echo
}

// NewOpener returns an opener that knows nobody.
func NewOpener(keys Keys) *Opener {
	return &Opener{keys: keys, senders: make(map[wire.NodeID]*sender)}
}

// Open says what a keyed packet from an address is worth.
func (o *Opener) Open(now time.Time, from netip.Addr, p *wire.Packet) Verdict {
	s := o.senders[p.From]
	e := s.find(now, p.Epoch)
	switch {
	case e == nil && p.Kind != wire.KindState:
		return Unproven
	case e == nil:
		return o.meet(now, from, s, p)
	case e.status == candidate && p.Kind != wire.KindState:
		return Unproven
	}
	space := wire.SpaceOf(p.Sealed)
	if !e.tagger.verify(p, space) {
		return Forged
	}
	if e.status == closed || space != wire.SpaceData && !e.seen[space].Fresh(p.Seq) {
		return Replayed
	}
	s.heard = now
	if e.status == candidate {
		e.since = now
		return Verified
	}
	return Proven
}

// meet verifies a STATE of an epoch that is not known, and remembers the epoch as a candidate. s is nil for a new id.
func (o *Opener) meet(now time.Time, from netip.Addr, s *sender, p *wire.Packet) Verdict {
	hint := 0
	if s != nil {
		hint = s.key
	}
	for i := range o.keys {
		key := (hint + i) % len(o.keys)
		if !o.spent.may(now, from) {
			return Busy
		}
		e := &epoch{number: p.Epoch, since: now, key: key, tagger: newTagger(&o.keys[key], p.From, p.Epoch)}
		if !e.tagger.verify(p, wire.SpaceControl) {
			continue
		}
		if s == nil {
			s = o.add(p.From)
		}
		s.heard, s.key = now, key
		e.seen[wire.SpaceControl].Start(p.Seq + 1) // no older one counts
		follows := s.follows(now, p.Epoch)
		s.add(e)
		if follows {
			s.prove(now, e)
			return Proven
		}
		return Verified
	}
	return Forged
}

// add makes room for an id and returns its entry. Who was never proven goes first, then who was silent longest.
func (o *Opener) add(id wire.NodeID) *sender {
	if len(o.senders) >= maxSenders {
		var least wire.NodeID
		var found *sender
		for id, s := range o.senders {
			if found == nil || s.less(found) || !found.less(s) && bytes.Compare(id[:], least[:]) < 0 {
				least, found = id, s
			}
		}
		delete(o.senders, least)
	}
	s := new(sender)
	o.senders[id] = s
	return s
}

// Heard is told what a STATE says that was [Verified] or [Proven]. It reports false when a later one was heard before. From the first of
// an epoch on, what is older counts as seen.
func (o *Opener) Heard(now time.Time, p *wire.Packet, st *wire.State) (latest bool) {
	e := o.senders[p.From].find(now, p.Epoch)
	if e == nil || e.heard && p.Seq < e.newest {
		return false
	}
	if !e.heard {
		e.heard, e.met, e.sent, e.first = true, now, st.Sent, st.Next
		e.seen[wire.SpaceTell].Start(st.Next[wire.SpaceTell])
	}
	e.newest, e.challenge, e.at = p.Seq, st.Challenge, now
	return true
}

// Waits returns how long an epoch has been heard without returning our challenge.
func (o *Opener) Waits(now time.Time, id wire.NodeID, number uint64) time.Duration {
	if e := o.senders[id].find(now, number); e != nil && e.heard && e.status == candidate {
		return now.Sub(e.met)
	}
	return 0
}

// Prove is told that a STATE, of which [Opener.Heard] was told just before, has returned a challenge of ours that was drawn at a time: its
// epoch is the present one of its sender, and the one before is over. What was sent before that STATE counts as seen.
//
// It returns the next sequences that the sender's first STATE named and when that came: from then on we know what it sent. That is, unless
// the first STATE was a recording, or on its way for long; then it is this one. ok is false when there was nothing to prove, or the
// challenge was drawn before another epoch was proven, which may have come after this one.
func (o *Opener) Prove(now, drawn time.Time, p *wire.Packet, st *wire.State) (first [wire.Spaces]uint32, since time.Time, ok bool) {
	s := o.senders[p.From]
	e := s.find(now, p.Epoch)
	if e == nil || e.status != candidate || drawn.Before(s.proof) {
		return first, since, false
	}
	s.prove(now, e)
	s.proof = now
	e.seen[wire.SpaceTell].Start(st.Next[wire.SpaceTell])
	e.seen[wire.SpaceControl].Start(p.Seq + 1)
	if late := time.Duration(st.Sent-e.sent) - now.Sub(e.met); late > staleness || late < -staleness {
		return st.Next, now, true
	}
	return e.first, e.met, true
}

// Echoes fills buf, up to room, with the challenges of the epochs that were heard lately, believed or not. Where there are more they
// take turns.
func (o *Opener) Echoes(now time.Time, buf []wire.Echo, room int) []wire.Echo {
	ids := make([]wire.NodeID, 0, len(o.senders))
	for id := range o.senders {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b wire.NodeID) int { return bytes.Compare(a[:], b[:]) })
	var all []wire.Echo
	for _, id := range ids {
		for _, e := range o.senders[id].epochs {
			if e.heard && e.status <= current && now.Sub(e.at) < echoTime {
				all = append(all, wire.Echo{ID: id, Challenge: e.challenge})
			}
		}
	}
	buf = buf[:0]
	for range min(room, len(all)) {
		buf = append(buf, all[o.turn%len(all)])
		o.turn++
	}
	return buf
}

// Epoch returns the present epoch of an id; ok is false when none is proven.
func (o *Opener) Epoch(id wire.NodeID) (number uint64, ok bool) {
	if e := o.senders[id].current(); e != nil {
		return e.number, true
	}
	return 0, false
}

// SignsLikeUs reports whether the present epoch of an id signs with the key that signs here.
func (o *Opener) SignsLikeUs(id wire.NodeID) bool {
	e := o.senders[id].current()
	return e != nil && e.key == 0
}

// find returns the epoch with that number, nil when it is not known.
func (s *sender) find(now time.Time, number uint64) *epoch {
	if s == nil {
		return nil
	}
	for i, e := range s.epochs {
		if e.number != number {
			continue
		}
		if e.status == current && now.Sub(e.at) >= silence && now.Sub(e.since) >= silence {
			e.status, e.since, e.heard = candidate, now, false
		}
		if e.status == closing && now.Sub(e.since) >= closingTime {
			e.status = closed
		}
		if e.status == closed && now.Sub(e.since) >= closedMemory {
			s.epochs = append(s.epochs[:i], s.epochs[i+1:]...)
			return nil
		}
		return e
	}
	return nil
}

func (s *sender) current() *epoch {
	if s != nil {
		for _, e := range s.epochs {
			if e.status == current {
				return e
			}
		}
	}
	return nil
}

// less reports whether s is to be forgotten rather than other.
func (s *sender) less(other *sender) bool {
	if s.proven() != other.proven() {
		return !s.proven()
	}
	return s.heard.Before(other.heard)
}

func (s *sender) proven() bool { return s.current() != nil }

// follows reports whether the sender goes on with that epoch because the sequences of its present one ran out.
func (s *sender) follows(now time.Time, number uint64) bool {
	e := s.find(now, number-1)
	return e != nil && e.status == current
}

// add remembers an epoch. When there are too many, the candidate heard longest ago makes room, else the one closed longest ago.
func (s *sender) add(e *epoch) {
	if len(s.epochs) >= maxEpochs {
		least := -1
		for i, o := range s.epochs {
			if o.status == current {
				continue
			}
			if least < 0 || o.status == candidate && s.epochs[least].status != candidate ||
				(o.status == candidate) == (s.epochs[least].status == candidate) && o.since.Before(s.epochs[least].since) {
				least = i
			}
		}
		s.epochs = append(s.epochs[:least], s.epochs[least+1:]...)
	}
	s.epochs = append(s.epochs, e)
}

// prove makes e the present epoch.
func (s *sender) prove(now time.Time, e *epoch) {
	if was := s.current(); was != nil {
		was.status, was.since = closed, now
		if was.number+1 == e.number {
			was.status = closing
		}
	}
	e.status, e.since = current, now
}
