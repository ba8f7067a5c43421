package seal

import (
	"testing"
	"time"

	"starling/wire"
)

// says makes o hear a STATE of s that was sent at a time, and returns it.
func says(t *testing.T, o *Opener, now time.Time, s *Sealer, sent time.Time, want Verdict) (*wire.Packet, *wire.State) {
	t.Helper()
	st := &wire.State{Sent: sent.UnixNano(), Next: [wire.Spaces]uint32{s.Next(wire.SpaceData), s.Next(wire.SpaceTell), s.Next(wire.SpaceControl) + 1}}
	p := parse(t, s.Seal(st.Append(nil, them)))
	if v := o.Open(now, host, p); v != want || !o.Heard(now, p, st) {
		t.Fatalf("a STATE is %v, want %v", v, want)
	}
	return p, st
}

// A recorded STATE of the present epoch, played before any other is heard, opens the door to nothing that was sent before the proof.
func TestRecordedFirstState(t *testing.T) {
	for _, late := range []time.Duration{0, time.Minute} {
		s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
		says(t, o, noon.Add(late), s, noon, Verified)
		tell, bye := wire.Tell{Downloaded: 1}, wire.Bye{}
		var recorded []*wire.Packet
		for range 5 {
			s.Seal(live())
			recorded = append(recorded, parse(t, s.Seal(tell.Append(wire.AppendTell(nil, them)))), parse(t, s.Seal(bye.Append(nil, them))))
		}
		now := noon.Add(late + 100*time.Millisecond)
		sent := noon.Add(2*late + 100*time.Millisecond) // time went on while it lay there
		p, st := says(t, o, now, s, sent, Verified)
		first, since, ok := o.Prove(now, now, p, st)
		wantFirst, wantSince := uint32(0), noon
		if late > 0 {
			wantFirst, wantSince = 5, now
		}
		if !ok || first[wire.SpaceData] != wantFirst || since != wantSince {
			t.Errorf("%v late: %t, from packet %d on since %v, want %d and %v", late, ok, first[wire.SpaceData], since, wantFirst, wantSince)
		}
		for _, p := range recorded {
			if v := o.Open(now, host, p); v != Replayed {
				t.Errorf("%v late: a recorded %v is %v", late, p.Kind, v)
			}
		}
	}
}

// What a node sent while we did not hear it may be played when it is no more: after some silence it has to prove itself again.
func TestSilence(t *testing.T) {
	s, o := NewSealer(testKey, them, 7), NewOpener(Keys{testKey})
	now := noon
	for i := range 100 { // heard each second
		want := Proven
		if i == 0 {
			want = Verified
		}
		p, st := says(t, o, now, s, now, want)
		if i == 0 {
			o.Prove(now, now, p, st)
		}
		now = now.Add(time.Second)
	}
	recorded := packets()
	for i := range recorded {
		recorded[i] = s.Seal(recorded[i])
	}
	now = now.Add(silence)
	for _, b := range recorded {
		p, want := parse(t, b), Unproven
		if p.Kind == wire.KindState {
			want = Verified
		}
		if v := o.Open(now, host, p); v != want {
			t.Errorf("a %v of a silent node is %v, want %v", p.Kind, v, want)
		}
	}
	p, st := says(t, o, now, s, now, Verified)
	if o.Waits(now, them, 7) != 0 {
		t.Error("it waits for an echo since it was met")
	}
	if _, _, ok := o.Prove(now, now, p, st); !ok {
		t.Fatal("it is not proven again")
	}
	if v := o.Open(now, host, parse(t, s.Seal(live()))); v != Proven {
		t.Errorf("then its records are %v", v)
	}
	for _, b := range recorded {
		if p := parse(t, b); wire.SpaceOf(b) != wire.SpaceData && o.Open(now, host, p) != Replayed {
			t.Errorf("a recorded %v is not replayed", p.Kind)
		}
	}
}

// A STATE of an earlier life that we lost returned a challenge that is still good: played after the next life was proven it proves nothing.
func TestProofOfAnEarlierLife(t *testing.T) {
	o := NewOpener(Keys{testKey})
	old := NewSealer(testKey, them, 1)
	believe(t, o, noon.Add(time.Second), NewSealer(testKey, them, 2))
	p, st := says(t, o, noon.Add(2*time.Second), old, noon, Verified)
	if _, _, ok := o.Prove(noon.Add(2*time.Second), noon, p, st); ok {
		t.Error("it closes the present one")
	}
	if _, _, ok := o.Prove(noon.Add(2*time.Second), noon.Add(time.Second), p, st); !ok {
		t.Error("one that lives now is not proven")
	}
}
