package catchup

import (
	"errors"
	"slices"
	"sync"
	"time"

	"starling/wire"
)

// maxMeanwhile bounds how many peers a learner hears of while it learns.
const maxMeanwhile = 1_000_000

// stopError is how much later a stop may be in one journal than in another: journals have the time when it was heard.
const stopError = 4 * time.Second

// pauseError is how much later it may be when the teller knows of as many as we do: a process that stood still reads afterwards what had waited.
const pauseError = 15 * time.Second

// ErrMeanwhile says that so much happened while a stream came that it cannot be told from what the stream says. Ask again.
var ErrMeanwhile = errors.New("too many records came meanwhile")

// ErrLate says that an answer began so long after it was asked for that it does not reach back far enough. Ask again.
var ErrLate = errors.New("the answer was too long on its way")

// returnError is how much later than a stop elsewhere a record must have been applied here to say that the peer came back after it: records that
// were lost are applied that much later than they were sent.
const returnError = 3 * time.Second

// Store is what a learner and a teller need of the tracker's store.
type Store struct {
	// Walk begins a walk over the peers that the cluster learned of within that time, 0 for all.
	Walk func(within time.Duration) Walk
	// Restore begins to take in a stream that brings about so many peers.
	Restore func(peers uint64) Restore
	// Learned is told of stops that a stream brought and that were not known here. Nil: nobody wants to know.
	Learned func(now time.Time, late time.Duration, l []wire.Leaver)
	// Apply takes in records.
	Apply func(now time.Time, rs []wire.Record)
	// Count returns how many torrents and peers there are.
	Count func() (torrents, peers uint64)
}

// Restore takes in one stream. What is fresher in the store stays.
type Restore struct {
	Swarms  func(now time.Time, late time.Duration, x *wire.Excerpt)
	Leavers func(now time.Time, late time.Duration, l []wire.Leaver)
	// Prune forgets peers last seen longer ago than cut of which the stream said nothing, and returns how many.
	Prune func(now time.Time, cut time.Duration) (gone int)
}

// peerKey names a peer of a torrent.
type peerKey struct {
	hash wire.InfoHash
	peer wire.Peer
}

// Learner takes in one stream while the cluster goes on. What a record says that came since the learner was made wins over what the
// stream says of that peer, whichever is taken in first:
//
//	asked              block made                block taken in
//	 |--------------------|--------------------------|-------------->
//	      records here       records here               records here
//	      the block may      the block knows            come last anyhow
//	      know of them       nothing of them
//	 |<------ noted, left out of the block --------->|
//
// A record can come while a block is being stored; it is applied once more afterwards. Of a stop that is in our own journal since
// the cut, and of which the teller knows nothing yet, the stream is not believed either.
type Learner struct {
	store   Store
	restore Restore
	asked   time.Time
	want    Want
	dec     *Decoder
	header  Header
	known   []Known
	ended   bool
	counts  counts // what came
	last    wire.InfoHash
	open    wire.Swarm // the last of the blocks that came, of which more may follow
	marked  int        // how many of its completions the teller has counted
	taken   counts     // torrents, of which large ones come in pieces, and peers that were taken in
	gone    int        // peers forgotten at the end

	mu        sync.Mutex                  // guards the rest
	noted     map[peerKey]bool            // true: it completed
	completed map[wire.InfoHash][]peerKey // those, by torrent
	early     map[peerKey]bool            // completed since the start and before it was asked: among completed
	stopped   map[peerKey]notes           // before it was asked
	came      map[peerKey]notes           // likewise, or came back
	storing   bool                        // a block is
	again     []wire.Record               // that came meanwhile
	full      bool
}

// NewLearner returns a learner of a stream that is asked for soon.
func NewLearner(now time.Time, store Store, want Want) *Learner {
	asked := now
	if want.After.After(now) {
		asked = want.After
	}
	return &Learner{
		store: store, asked: asked, want: want, dec: NewDecoder(),
		noted: make(map[peerKey]bool), completed: make(map[wire.InfoHash][]peerKey),
	}
}

// Believe is told, before anything is taken in, of the stops in our journal since before the cut, and of those who came or came back since then. Nobody
// waits for it: Note may be told of records meanwhile, which is before the journals are read, so that none is between the two.
func (l *Learner) Believe(now time.Time, own, came []wire.Leaver) {
	stopped, back := latest(now, own), latest(now, came)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped, l.came = stopped, back
	l.past()
}

// past leaves out those of the early completions whose client has stopped since: no mark of them is left that would say whether the teller counted
// them, and where all nodes start at once each would count them once more. The caller holds l.mu.
func (l *Learner) past() {
	gone := make(map[wire.InfoHash]bool)
	for k := range l.early {
		if s, ok := l.stopped[k]; ok && !l.came[k].last.After(s.last) {
			delete(l.early, k)
			gone[k.hash] = true
		}
	}
	for h := range gone {
		l.completed[h] = slices.DeleteFunc(l.completed[h], func(k peerKey) bool { return !l.early[k] && !l.noted[k] })
	}
}

// Early is told, before anything else, of the completions since the start, when this is the first stream since then: the teller need not have
// counted them, and what is counted here begins with them.
func (l *Learner) Early(rs []wire.Record) {
	l.early = make(map[peerKey]bool, len(rs))
	for i := range rs {
		if k := (peerKey{rs[i].InfoHash, rs[i].Peer}); !l.early[k] {
			l.early[k] = true
			l.completed[k.hash] = append(l.completed[k.hash], k)
		}
	}
}

// notes is what a journal has of a peer.
type notes struct {
	last  time.Time
	n     int
	told  int  // how many the teller has told of
	known bool // it knows of the last, so that what it says of the peer came afterwards
	found bool // one of its own is the last
}

// latest returns when each peer is noted last, and how often it is.
func latest(now time.Time, noted []wire.Leaver) map[peerKey]notes {
	times := make(map[peerKey]notes, len(noted))
	for i := range noted {
		k, at := peerKey{noted[i].InfoHash, noted[i].Peer}, now.Add(-time.Duration(noted[i].Age)*time.Millisecond)
		was := times[k]
		if was.n++; at.After(was.last) {
			was.last = at
		}
		times[k] = was
	}
	return times
}

// Note is told of every record that is applied, before it is, and of every one that is offered. It does not block for long.
func (l *Learner) Note(rs ...wire.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range rs {
		r := &rs[i]
		k := peerKey{r.InfoHash, r.Peer}
		if l.full = l.full || len(l.noted) >= maxMeanwhile; l.full {
			return
		}
		done := r.Flags.Completion() && r.Flags&wire.Stopped == 0
		if done && !l.noted[k] && !l.early[k] {
			l.completed[k.hash] = append(l.completed[k.hash], k)
		}
		l.noted[k] = l.noted[k] || done
		if l.storing {
			l.again = append(l.again, *r)
		}
	}
}

// Size returns how many bytes Take wants, 0 when the stream is over.
func (l *Learner) Size() int { return l.dec.Size() }

// Take takes in the next Size bytes of the stream.
func (l *Learner) Take(now time.Time, b []byte) error {
	block, err := l.dec.Next(b)
	if err != nil || block == nil {
		return err
	}
	late := max(now.Sub(l.asked.Add(block.At)), 0)
	switch block.Kind {
	case KindHeader:
		if err := l.want.check(block.Header); err != nil {
			return err
		}
		if late > answerTime && block.Header.Within != 0 {
			return ErrLate
		}
		l.header = *block.Header
		peers := uint64(0)
		if l.prunes() {
			_, peers = l.store.Count()
			peers += l.header.Peers
		}
		l.restore = l.store.Restore(min(peers, maxPeers))
	case KindKnown:
		if len(l.known) < maxLacks {
			l.known = append(l.known, block.Known...)
		}
	case KindLeavers:
		l.leave(now, late, block.Leavers)
	case KindSwarms:
		l.swarms(now, late, block.At, block.Excerpt)
	case KindEnd:
		l.ended = true
		l.close(now, late)
		if l.prunes() {
			l.gone = l.restore.Prune(now, now.Sub(l.want.Since))
		}
	}
	l.counts = l.dec.counts
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return ErrMeanwhile
	}
	return nil
}

// maxPeers bounds what a teller can make us reserve: two bytes for each.
const maxPeers = 200_000_000

// prunes reports whether the stream holds all there is and we were in step with the teller at the cut: who was seen before and is
// not in it has gone.
func (l *Learner) prunes() bool {
	return l.want.Prune && !l.want.Since.IsZero() && l.header.Complete && l.header.Within == 0
}

// leave forgets who stopped elsewhere, but for stops that we know of, those before the cut, and peers that came back since.
func (l *Learner) leave(now time.Time, late time.Duration, leavers []wire.Leaver) {
	l.mu.Lock()
	kept := leavers[:0]
	for _, v := range leavers {
		k := peerKey{v.InfoHash, v.Peer}
		at := now.Add(-late - time.Duration(v.Age)*time.Millisecond)
		_, noted := l.noted[k]
		if noted || l.heardOf(k, at) || at.Before(l.want.Since.Add(-2*margin)) {
			continue
		}
		kept = append(kept, v)
	}
	l.mu.Unlock()
	l.restore.Leavers(now, late, kept)
	if l.store.Learned != nil {
		l.store.Learned(now, late, kept)
	}
}

// heardOf is told of each stop of a peer that the teller knows, and reports whether it is one that we know ourselves, or the peer came back since. When
// the peer came back after our last stop, the first of the teller's that follows on that is the same, if none is closer: it heard it late. The
// caller holds l.mu.
func (l *Learner) heardOf(k peerKey, at time.Time) bool {
	back, came := l.came[k]
	own, ok := l.stopped[k]
	if ok {
		own.told++
		off := own.last.Sub(at)
		own.known = own.known || off < stopError || own.told >= own.n && off < pauseError
		late := off <= -time.Second && off > -pauseError && !own.found && came && back.last.After(own.last)
		own.found = own.found || late || own.known && off > -time.Second
		l.stopped[k] = own
		if off > -time.Second || late {
			return true
		}
	}
	return came && back.last.After(at.Add(returnError))
}

// swarms stores a block without the peers that are known better.
func (l *Learner) swarms(now time.Time, late, made time.Duration, x *wire.Excerpt) {
	for i := range x.Swarms {
		if h := &x.Swarms[i].InfoHash; l.taken.swarms == 0 || *h != l.last {
			l.taken.swarms++
			l.last = *h
		}
	}
	if len(x.Swarms) > 0 && x.Swarms[0].InfoHash != l.open.InfoHash {
		l.close(now, late)
	}
	l.mu.Lock()
	l.filter(l.asked.Add(made), x)
	l.taken.members += uint64(len(x.Members))
	l.storing, l.again = true, l.again[:0]
	l.mu.Unlock()

	l.restore.Swarms(now, late, x)

	l.mu.Lock()
	again := l.again
	l.storing = false
	l.mu.Unlock()
	if len(again) > 0 {
		l.store.Apply(now, again)
	}
}

// close adds to the count of the last torrent of a block the completions that the teller cannot have counted: a large one comes in pieces, and
// which they are is known after the last.
func (l *Learner) close(now time.Time, late time.Duration) {
	l.mu.Lock()
	sum := l.raised()
	l.mu.Unlock()
	if s := l.open; sum > s.Downloaded {
		s.Downloaded = sum
		l.restore.Swarms(now, late, &wire.Excerpt{Swarms: []wire.Swarm{s}})
	}
	l.open, l.marked = wire.Swarm{}, 0
}

// raised returns the count of the open torrent with the completions that the teller cannot have counted. The caller holds l.mu.
func (l *Learner) raised() uint64 {
	done := len(l.completed[l.open.InfoHash]) - l.marked
	return max(l.open.Downloaded, l.open.Downloaded+uint64(max(done, 0))) // another node may have told of 2^64 - 1
}

// filter takes those members out of an excerpt of which we know better, and adds to the counts of all torrents but the last the completions the
// teller cannot have counted.
func (l *Learner) filter(made time.Time, x *wire.Excerpt) {
	if len(l.noted) == 0 && len(l.stopped) == 0 && len(l.early) == 0 {
		return
	}
	in, out := 0, 0
	for i := range x.Swarms {
		s := &x.Swarms[i]
		if s.InfoHash != l.open.InfoHash {
			l.marked = 0
		}
		members := x.Members[in : in+s.Members]
		in += s.Members
		s.Members = 0
		for j := range members {
			m := members[j]
			k := peerKey{s.InfoHash, m.Peer}
			if l.early[k] && m.Flags&wire.Complete != 0 && !l.noted[k] {
				l.marked++
			}
			if completed, noted := l.noted[k]; noted {
				if m.Flags&wire.Complete == 0 {
					continue
				}
				if completed {
					l.marked++
					continue
				}
				m.Flags |= wire.MarkOnly // when it completed has not been heard here
			}
			if at, ok := l.stopped[k]; ok && !at.known && m.Flags&wire.MarkOnly == 0 && at.last.After(made.Add(-time.Duration(m.Seen)*time.Millisecond)) {
				continue
			}
			x.Members[out] = m
			out++
			s.Members++
		}
		l.open = wire.Swarm{InfoHash: s.InfoHash, Age: s.Age, Downloaded: s.Downloaded}
		if i+1 < len(x.Swarms) && x.Swarms[i+1].InfoHash != s.InfoHash {
			s.Downloaded = l.raised()
		}
	}
	x.Members = x.Members[:out]
}

// Asked returns when the stream was asked for.
func (l *Learner) Asked() time.Time { return l.asked }

// Ended reports whether the stream came to its end.
func (l *Learner) Ended() bool { return l.ended }

// Progress is how far a learner has come.
type Progress struct {
	Header   Header
	Torrents uint64 // that came
	Peers    uint64 // of those that came, the ones of which nothing better was known
	Stops    uint64
	Gone     int // peers forgotten at the end because the stream did not have them
	Known    []Known
}

// Progress returns how far it has come. It may be called between two calls of Take.
func (l *Learner) Progress() Progress {
	return Progress{l.header, l.taken.swarms, l.taken.members, l.counts.leavers, l.gone, l.known}
}
