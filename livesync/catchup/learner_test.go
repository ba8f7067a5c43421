package catchup

import (
	"slices"
	"testing"
	"time"

	"starling/wire"
)

// notebook is a store that writes down what it is given. While a block is stored, it calls during.
type notebook struct {
	members map[peerKey]wire.Member
	counts  map[wire.InfoHash]uint64
	left    []wire.Leaver
	applied []wire.Record
	pruned  time.Duration // 0: it was not
	late    time.Duration // of the last block
	during  func()
}

func (s *notebook) store() Store {
	return Store{
		Apply: func(_ time.Time, rs []wire.Record) { s.applied = append(s.applied, rs...) },
		Count: func() (uint64, uint64) { return 0, 0 },
		Restore: func(uint64) Restore {
			return Restore{
				Swarms: func(_ time.Time, late time.Duration, x *wire.Excerpt) {
					s.late = late
					members := x.Members
					for _, w := range x.Swarms {
						s.counts[w.InfoHash] = max(s.counts[w.InfoHash], w.Downloaded)
						for _, m := range members[:w.Members] {
							s.members[peerKey{w.InfoHash, m.Peer}] = m
						}
						members = members[w.Members:]
					}
					if s.during != nil {
						s.during()
					}
				},
				Leavers: func(_ time.Time, _ time.Duration, l []wire.Leaver) { s.left = append(s.left, l...) },
				Prune:   func(_ time.Time, cut time.Duration) int { s.pruned = cut; return 1 },
			}
		},
	}
}

// learn gives a learner a whole stream a second after it was asked for; before is called first.
func learn(t *testing.T, s *notebook, want Want, own []wire.Leaver, stream []byte, before func(*Learner)) *Learner {
	t.Helper()
	s.members, s.counts = map[peerKey]wire.Member{}, map[wire.InfoHash]uint64{}
	l := NewLearner(epoch, s.store(), want)
	l.Believe(epoch, own, nil)
	if before != nil {
		before(l)
	}
	take(t, l, epoch.Add(time.Second), stream)
	if !l.Ended() {
		t.Fatal("not ended")
	}
	return l
}

var h1 = wire.InfoHash{1}

// swarmOf returns an excerpt of one torrent with peers 1, 2, ..., seen so many milliseconds ago.
func swarmOf(downloaded uint64, flags wire.Flags, seen ...int32) *wire.Excerpt {
	x := &wire.Excerpt{Swarms: []wire.Swarm{{InfoHash: h1, Downloaded: downloaded, Members: len(seen)}}}
	for i, ms := range seen {
		x.Members = append(x.Members, wire.Member{Peer: peer4(i + 1), Flags: flags, Seen: ms})
	}
	return x
}

var someWant = Want{ID: someHeader.ID, Epoch: someHeader.Epoch, Since: epoch.Add(-time.Minute), Prune: true}

func TestLearner(t *testing.T) {
	var s notebook
	l := learn(t, &s, someWant, nil, tell(someHeader, someLeavers(2), swarmOf(7, 0, 10, 20)), nil)
	if len(s.members) != 2 || s.counts[h1] != 7 || len(s.left) != 2 || s.pruned != 0 || s.late < 900*time.Millisecond || s.late > time.Second {
		t.Fatalf("%+v", s)
	}
	if p := l.Progress(); p.Torrents != 1 || p.Peers != 2 || p.Stops != 2 || p.Header.ID != someHeader.ID {
		t.Fatalf("%+v", p)
	}
}

// TestLearnerPrunes: who is not in the stream has gone, if it holds all and we were in step with the cluster before.
func TestLearnerPrunes(t *testing.T) {
	whole := someHeader
	whole.Within = 0
	part, half := someHeader, whole
	half.Complete = false
	alone := someWant
	alone.Prune = false
	for name, c := range map[string]struct {
		h    Header
		want Want
		cut  time.Duration
	}{
		"all":                {whole, someWant, time.Minute + time.Second},
		"a part":             {part, someWant, 0},
		"not all it knows":   {half, someWant, 0},
		"was not in step":    {whole, alone, 0},
		"knew nothing since": {whole, Want{ID: whole.ID, Epoch: whole.Epoch, Prune: true}, 0},
	} {
		var s notebook
		l := learn(t, &s, c.want, nil, tell(c.h, nil, swarmOf(1, 0, 1)), nil)
		if s.pruned != c.cut || (l.Progress().Gone == 1) != (c.cut > 0) {
			t.Errorf("%s: cut at %v", name, s.pruned)
		}
	}
}

// TestMeanwhile: records that come while the stream does win over it, whenever they come.
func TestMeanwhile(t *testing.T) {
	var s notebook
	stop := wire.Record{InfoHash: h1, Peer: peer4(1), Flags: wire.Stopped}
	learn(t, &s, someWant, nil, tell(someHeader, []wire.Leaver{{InfoHash: h1, Peer: peer4(3)}}, swarmOf(7, 0, 10, 20, 30)), func(l *Learner) {
		l.Note(stop, wire.Record{InfoHash: h1, Peer: peer4(3), Flags: wire.Seeding})
	})
	if _, ok := s.members[peerKey{h1, peer4(1)}]; ok || len(s.members) != 1 || len(s.left) != 0 {
		t.Errorf("%v, left %v", s.members, s.left)
	}
	var l *Learner
	s.during = func() { l.Note(stop) }
	learn(t, &s, someWant, nil, tell(someHeader, nil, swarmOf(7, 0, 10)), func(made *Learner) { l = made })
	if len(s.applied) != 1 || s.applied[0] != stop {
		t.Errorf("applied again: %v", s.applied)
	}
}

// TestOwnStops: a stop that we know of and the teller may not is believed against a peer that was seen before it.
func TestOwnStops(t *testing.T) {
	own := []wire.Leaver{{InfoHash: h1, Peer: peer4(1), Age: 5000}, {InfoHash: h1, Peer: peer4(2), Age: 5000}}
	var s notebook
	learn(t, &s, someWant, own, tell(someHeader, []wire.Leaver{{InfoHash: h1, Peer: peer4(2), Age: 5000}, {InfoHash: h1, Peer: peer4(3), Age: 1}}, swarmOf(7, 0, 9000, 1000)), nil)
	if _, ok := s.members[peerKey{h1, peer4(2)}]; !ok || len(s.members) != 1 {
		t.Errorf("%v", s.members)
	}
	if len(s.left) != 1 || s.left[0].Peer != peer4(3) {
		t.Errorf("left %v", s.left)
	}
}

// TestOneStopHeardLate: the teller's stop is ours, which a pause made us hear late, so that who came back after it is believed; but not when we
// know of two, of which the later is news to the teller.
func TestOneStopHeardLate(t *testing.T) {
	own := []wire.Leaver{{InfoHash: h1, Peer: peer4(1), Age: 1000}, {InfoHash: h1, Peer: peer4(2), Age: 9000}, {InfoHash: h1, Peer: peer4(2), Age: 1000}}
	stops := []wire.Leaver{{InfoHash: h1, Peer: peer4(1), Age: 9500}, {InfoHash: h1, Peer: peer4(2), Age: 9500}}
	var s notebook
	learn(t, &s, someWant, own, tell(someHeader, stops, swarmOf(7, 0, 8000, 8000)), nil)
	if _, ok := s.members[peerKey{h1, peer4(1)}]; !ok || len(s.members) != 1 {
		t.Errorf("%v", s.members)
	}
}

// take shows a learner a whole stream, in the pieces that it asks for.
func take(t *testing.T, l *Learner, now time.Time, stream []byte) {
	t.Helper()
	for l.Size() > 0 {
		part := stream[:l.Size()]
		stream = stream[len(part):]
		if err := l.Take(now, part); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCameBack: a stop elsewhere does not take out who was told of here well after it.
func TestCameBack(t *testing.T) {
	var s notebook
	s.members, s.counts = map[peerKey]wire.Member{}, map[wire.InfoHash]uint64{}
	came := []wire.Leaver{{InfoHash: h1, Peer: peer4(1), Age: 1000}, {InfoHash: h1, Peer: peer4(2), Age: 8000}}
	l := NewLearner(epoch, s.store(), someWant)
	l.Believe(epoch, nil, came)
	stream := tell(someHeader, []wire.Leaver{{InfoHash: h1, Peer: peer4(1), Age: 9000}, {InfoHash: h1, Peer: peer4(2), Age: 9000}}, swarmOf(1, 0))
	take(t, l, epoch, stream)
	if len(s.left) != 1 || s.left[0].Peer != peer4(2) {
		t.Errorf("left %v", s.left)
	}
}

// TestCompletionsMeanwhile: a completion that came while the stream did is counted on top of what the teller counted, unless it is in that.
func TestCompletionsMeanwhile(t *testing.T) {
	done := func(n int) wire.Record {
		return wire.Record{InfoHash: h1, Peer: peer4(n), Flags: wire.Seeding | wire.Complete}
	}
	for name, c := range map[string]struct {
		records []wire.Record
		flags   wire.Flags
		want    uint64
	}{
		"none":              {nil, 0, 7},
		"unknown there":     {[]wire.Record{done(9)}, 0, 8},
		"told twice":        {[]wire.Record{done(9), done(9)}, 0, 8},
		"counted there":     {[]wire.Record{done(1), done(2)}, wire.Seeding | wire.Complete, 7},
		"one of two":        {[]wire.Record{done(1), done(9)}, wire.Seeding | wire.Complete, 8},
		"not counted there": {[]wire.Record{done(1), done(2)}, wire.Seeding, 9},
	} {
		for when, told := range map[string]func(*Learner){"meanwhile": func(l *Learner) { l.Note(c.records...) }, "before": func(l *Learner) { l.Early(c.records) }} {
			var s notebook
			learn(t, &s, someWant, nil, tell(someHeader, nil, swarmOf(7, c.flags, 10, 20)), told)
			if s.counts[h1] != c.want {
				t.Errorf("%s, %s: %d, want %d", name, when, s.counts[h1], c.want)
			}
		}
	}
}

// TestCompletionsInPieces: of a torrent that comes in several pieces the completions that the teller has counted may be in any of them.
func TestCompletionsInPieces(t *testing.T) {
	x := swarmOf(7, wire.Seeding|wire.Complete, 10, 20)
	for n, members := range [][]int{{2}, {1, 1}, {0, 1, 1}, {1, 0, 1, 0}} {
		for known, want := range []uint64{8, 8, 8, 9} {
			var s notebook
			l := NewLearner(epoch, s.store(), someWant)
			s.members, s.counts = map[peerKey]wire.Member{}, map[wire.InfoHash]uint64{}
			l.restore = s.store().Restore(0)
			for i := range known {
				l.Note(wire.Record{InfoHash: h1, Peer: peer4(i + 1), Flags: wire.Seeding | wire.Complete})
			}
			l.Note(wire.Record{InfoHash: h1, Peer: peer4(9), Flags: wire.Seeding | wire.Complete})
			rest := x.Members
			for _, m := range members {
				piece := wire.Excerpt{Swarms: []wire.Swarm{{InfoHash: h1, Downloaded: 7, Members: m}}, Members: slices.Clone(rest[:m])}
				rest = rest[m:]
				l.swarms(epoch, 0, 0, &piece)
				if s.counts[h1] > 7 {
					t.Fatalf("%d: raised before the last piece", n)
				}
			}
			l.close(epoch, 0)
			if s.counts[h1] != want {
				t.Errorf("%v, %d known: %d, want %d", members, known, s.counts[h1], want)
			}
		}
	}
}

// TestCompletedAndGone: an early completion of a client that has stopped since is not counted once more.
func TestCompletedAndGone(t *testing.T) {
	for name, c := range map[string]struct {
		own, came []wire.Leaver
		want      uint64
	}{
		"stopped":             {[]wire.Leaver{{InfoHash: h1, Peer: peer4(9), Age: 10}}, []wire.Leaver{{InfoHash: h1, Peer: peer4(9), Age: 20}}, 7},
		"came back":           {[]wire.Leaver{{InfoHash: h1, Peer: peer4(9), Age: 20}}, []wire.Leaver{{InfoHash: h1, Peer: peer4(9), Age: 10}}, 8},
		"another has stopped": {[]wire.Leaver{{InfoHash: h1, Peer: peer4(8), Age: 10}}, nil, 8},
	} {
		var s notebook
		learn(t, &s, someWant, nil, tell(someHeader, nil, swarmOf(7, 0, 10)), func(l *Learner) {
			l.Early([]wire.Record{{InfoHash: h1, Peer: peer4(9), Flags: wire.Seeding | wire.Complete}})
			l.Believe(epoch, c.own, c.came)
		})
		if s.counts[h1] != c.want {
			t.Errorf("%s: %d, want %d", name, s.counts[h1], c.want)
		}
	}
}

// TestLearnerRefuses the stream of another node or of another start, and one that comes too slowly for what happens.
func TestLearnerRefuses(t *testing.T) {
	var s notebook
	stream := tell(someHeader, nil, swarmOf(7, 0, 10))
	first := func(l *Learner) error {
		n := l.Size()
		if err := l.Take(epoch, stream[:n]); err != nil {
			return err
		}
		return l.Take(epoch, stream[n:n+l.Size()])
	}
	for _, w := range []Want{{ID: wire.NodeID{9}, Epoch: someHeader.Epoch}, {ID: someHeader.ID, Epoch: 1}} {
		if err := first(NewLearner(epoch, s.store(), w)); err == nil {
			t.Errorf("%+v got the stream of another", w)
		}
	}
	late := NewLearner(epoch.Add(-answerTime-1), s.store(), someWant)
	if err := first(late); err != ErrLate {
		t.Errorf("an answer that was long on its way: %v", err)
	}
	l := NewLearner(epoch, s.store(), someWant)
	for n := range maxMeanwhile + 1 {
		l.Note(wire.Record{InfoHash: h1, Peer: peer4(n)})
	}
	if err := first(l); err != ErrMeanwhile {
		t.Errorf("%v", err)
	}
}

// TestCameBackSoon: who came back here soon after a stop that we know is not taken out by the same stop, which the teller heard late; but is by
// one more of which the teller knows.
func TestCameBackSoon(t *testing.T) {
	var s notebook
	s.members, s.counts = map[peerKey]wire.Member{}, map[wire.InfoHash]uint64{}
	stop := func(peer int, age uint32) wire.Leaver {
		return wire.Leaver{InfoHash: h1, Peer: peer4(peer), Age: age}
	}
	l := NewLearner(epoch, s.store(), someWant)
	l.Believe(epoch, []wire.Leaver{stop(1, 9000), stop(2, 20000), stop(2, 9000)}, []wire.Leaver{stop(1, 4000), stop(2, 4000)})
	stream := tell(someHeader, []wire.Leaver{stop(1, 5000), stop(2, 9000), stop(2, 3000)}, swarmOf(1, 0))
	take(t, l, epoch, stream)
	if len(s.left) != 1 || s.left[0].Peer != peer4(2) {
		t.Errorf("left %v", s.left)
	}
}

// TestMarkOfNoted: of a peer that was heard of meanwhile only the completion counts that was not.
func TestMarkOfNoted(t *testing.T) {
	var s notebook
	learn(t, &s, someWant, nil, tell(someHeader, nil, swarmOf(7, wire.Seeding|wire.Complete, 10)), func(l *Learner) {
		l.Note(wire.Record{InfoHash: h1, Peer: peer4(1)})
	})
	if m := s.members[peerKey{h1, peer4(1)}]; len(s.members) != 1 || m.Flags&wire.MarkOnly == 0 {
		t.Errorf("%+v", s.members)
	}
}

// TestProgress counts torrents, however many pieces they come in, and the peers that were taken in.
func TestProgress(t *testing.T) {
	var s notebook
	x := swarmOf(7, 0, 10, 20)
	more := swarmOf(7, 0, 10)
	more.Members[0].Peer = peer4(9)
	x.Swarms, x.Members = append(x.Swarms, more.Swarms...), append(x.Members, more.Members...)
	x.Swarms = append(x.Swarms, wire.Swarm{InfoHash: wire.InfoHash{2}})
	l := learn(t, &s, someWant, nil, tell(someHeader, nil, x), func(l *Learner) {
		l.Note(wire.Record{InfoHash: h1, Peer: peer4(1)})
	})
	if p := l.Progress(); p.Torrents != 2 || p.Peers != 2 {
		t.Errorf("%+v", p)
	}
}
