package livesync

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"starling/wire"
)

var testID = wire.NodeID{1, 2, 3, 4}

// recordOf returns record number i, of an IPv6 peer for every third.
func recordOf(i int) wire.Record {
	r := wire.Record{InfoHash: HashOf(i), Peer: PeerOf(i)}
	if i%3 == 2 {
		r.Peer = Peer6Of(i)
	}
	return r
}

// newTestBatch returns the batch of a plain node.
func newTestBatch(dialect Dialect, flush time.Duration) *batch {
	b := newBatch(dialect, flush, plainLimits)
	return &b
}

// add puts a record into the queue, at a time when the sender is awake.
func (b *batch) add(now time.Time, r *wire.Record) {
	b.q.put(r, b.dialect.lineOf(r))
	b.start(now)
}

// firstDue returns when the first packet leaves if nothing is added, the zero time when there is none.
func (b *batch) firstDue() time.Time { return earliest(b.due[0], b.due[1]) }

// packetsOf takes everything that the batch has to send, each packet parsed.
func packetsOf(t *testing.T, b *batch, now time.Time) (packets []wire.Packet, records int) {
	t.Helper()
	for {
		pkt, n := b.next(now, testID)
		if pkt == nil {
			return packets, records
		}
		p, err := wire.ParsePacket(slices.Clone(pkt))
		if err != nil || p.From != testID {
			t.Fatalf("packet from %s: %v", p.From, err)
		}
		packets, records = append(packets, p), records+n
	}
}

func TestBatchFull(t *testing.T) {
	tests := []struct {
		dialect Dialect
		peer    func(int) wire.Peer
		kind    wire.Kind
		full    int
	}{
		{Seed, PeerOf, wire.KindLive4, wire.MaxRecords4},
		{Seed, Peer6Of, wire.KindLive6, wire.MaxRecords6},
		{Modern, PeerOf, wire.KindLive6, wire.MaxRecords6},
		{Modern, Peer6Of, wire.KindLive6, wire.MaxRecords6},
		{Both, PeerOf, wire.KindLive4, wire.MaxRecords6}, // and as many in a second packet
		{Both, Peer6Of, wire.KindLive6, wire.MaxRecords6},
	}
	for _, tt := range tests {
		b := newTestBatch(tt.dialect, time.Hour)
		for i := range tt.full {
			if got, _ := packetsOf(t, b, epoch); len(got) != 0 {
				t.Errorf("%s: a packet left with %d records, %d fit", tt.dialect, i, tt.full)
			}
			b.add(epoch, &wire.Record{InfoHash: HashOf(i), Peer: tt.peer(i)})
		}
		got, records := packetsOf(t, b, epoch)
		if len(got) == 0 || got[0].Kind != tt.kind || got[0].Len() != tt.full || records != tt.full {
			t.Errorf("%s: packets %v with %d records, want %d of kind %s first", tt.dialect, got, records, tt.full, tt.kind)
		}
	}
}

// TestBatchDue adds again after a flush: the second wait counts from the second first record.
func TestBatchDue(t *testing.T) {
	const flush = 250 * time.Millisecond
	b := newTestBatch(Seed, flush)
	now := epoch
	for range 3 {
		if !b.firstDue().IsZero() {
			t.Fatal("an empty batch is due")
		}
		first, second := recordOf(0), recordOf(1)
		b.add(now, &first)
		b.add(now.Add(flush/2), &second)
		if due := b.firstDue(); !due.Equal(now.Add(flush)) {
			t.Errorf("due after %s, want %s", due.Sub(now), flush)
		}
		if got, _ := packetsOf(t, b, now.Add(flush-1)); len(got) != 0 {
			t.Error("a packet left early")
		}
		if got, records := packetsOf(t, b, now.Add(flush)); len(got) != 1 || records != 2 {
			t.Errorf("%d packets with %d records, want 1 and 2", len(got), records)
		}
		now = now.Add(10 * time.Second)
	}
}

func TestBatchWritesDialects(t *testing.T) {
	four, six := wire.Record{Peer: PeerOf(1)}, wire.Record{Peer: Peer6Of(2)}
	for dialect, want := range map[Dialect][]wire.Kind{
		Seed:   {wire.KindLive6, wire.KindLive4}, // the older first
		Modern: {wire.KindLive6},
		Both:   {wire.KindLive4, wire.KindLive6},
	} {
		b := newTestBatch(dialect, time.Second)
		b.add(epoch, &six)
		b.add(epoch.Add(time.Second/2), &four)
		got, records := packetsOf(t, b, epoch.Add(2*time.Second))
		var kinds []wire.Kind
		for _, p := range got {
			kinds = append(kinds, p.Kind)
		}
		if !slices.Equal(kinds, want) || records != 2 {
			t.Errorf("%s: packets %v with %d records, want %v with 2", dialect, kinds, records, want)
		}
		if last := got[len(got)-1]; dialect != Seed && last.Len() != 2 {
			t.Errorf("%s: %d records in type 1, want 2", dialect, last.Len())
		}
	}
}

// TestBatchBothLeaveTogether has the IPv6 record due long before the IPv4 one.
func TestBatchBothLeaveTogether(t *testing.T) {
	b := newTestBatch(Both, time.Second)
	six, four := recordOf(2), recordOf(0)
	b.add(epoch, &six)
	b.add(epoch.Add(900*time.Millisecond), &four)
	if got, _ := packetsOf(t, b, epoch.Add(time.Second)); len(got) != 2 || !b.firstDue().IsZero() {
		t.Errorf("%d packets left and due is %v, want both gone", len(got), b.firstDue())
	}
}

// TestBatchLosesNothing adds at random and compares what left with what was
// added: every record once in every copy, in order, none later than the flush interval.
func TestBatchLosesNothing(t *testing.T) {
	const flush = 250 * time.Millisecond
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dialect := Dialect(rng.IntN(3))
		b := newTestBatch(dialect, flush)
		added := map[wire.InfoHash]time.Time{}
		var want4, want6, got4, got6 []wire.Record
		now := epoch
		for i := range rng.IntN(400) {
			now = now.Add(time.Duration(rng.IntN(int(flush / 8))))
			if due := b.firstDue(); !due.IsZero() && due.Before(now) {
				now = due // the sender wakes up then
			}
			r := recordOf(i*3 + rng.IntN(3))
			b.add(now, &r)
			added[r.InfoHash] = now
			if r.Peer.Is4() && dialect != Modern {
				want4 = append(want4, r)
			}
			if !r.Peer.Is4() || dialect != Seed {
				want6 = append(want6, r)
			}
			if rng.IntN(50) == 0 {
				b.leave()
			}
			packets, _ := packetsOf(t, b, now)
			for _, p := range packets {
				for j := range p.Len() {
					r := p.Record(j)
					if wait := now.Sub(added[r.InfoHash]); wait > flush {
						t.Fatalf("seed %d: record %v waited %s", seed, r, wait)
					}
					if p.Kind == wire.KindLive4 {
						got4 = append(got4, r)
					} else {
						got6 = append(got6, r)
					}
				}
			}
		}
		b.leave()
		packets, _ := packetsOf(t, b, now)
		for _, p := range packets {
			for j := range p.Len() {
				if p.Kind == wire.KindLive4 {
					got4 = append(got4, p.Record(j))
				} else {
					got6 = append(got6, p.Record(j))
				}
			}
		}
		if !slices.Equal(got4, want4) || !slices.Equal(got6, want6) {
			t.Fatalf("seed %d, %s: left %d and %d records, want %d and %d, in order", seed, dialect, len(got4), len(got6), len(want4), len(want6))
		}
	}
}

// TestBatchRecordsAreZeroBehindTheFlags checks the byte that receivers ignore and senders leave zero.
func TestBatchRecordsAreZeroBehindTheFlags(t *testing.T) {
	b := newTestBatch(Seed, 0)
	r := wire.Record{InfoHash: HashOf(1), Peer: PeerOf(1), Flags: wire.Seeding}
	b.add(epoch, &r)
	pkt, _ := b.next(epoch, testID)
	if want := append(wire.AppendLive4(nil, testID), r.Append4(nil)...); !bytes.Equal(pkt, want) || pkt[len(pkt)-1] != 0 {
		t.Errorf("packet %x, want %x", pkt, want)
	}
}
