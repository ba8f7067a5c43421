package relay

import (
	"bytes"
	"reflect"
	"testing"
)

var someFrames = []frame{
	{kind: frameOpen, conn: 1},
	{kind: frameData, conn: 2, at: 3, data: []byte("x")},
	{kind: frameData, conn: 2, at: 1 << 63, data: make([]byte, maxChunk)},
	{kind: frameSeen, conn: 1<<64 - 1, at: 4},
	{kind: frameEnd, conn: 5, at: 6},
	{kind: frameReset, conn: 7},
}

// TestFrames reads what is written, and refuses it shorter, longer and of another kind.
func TestFrames(t *testing.T) {
	for _, f := range someFrames {
		b := f.append(nil)
		got, err := parseFrame(b)
		if err != nil || got.kind != f.kind || got.conn != f.conn || got.at != f.at || !bytes.Equal(got.data, f.data) {
			t.Errorf("%v: %v, %v", f, got, err)
		}
		for n := range min(len(b), frameHead+1) {
			if got, err := parseFrame(b[:n]); err == nil {
				t.Errorf("the first %d bytes of %v are %v", n, f, got)
			}
		}
		if got, err := parseFrame(append(b, make([]byte, maxChunk)...)); err == nil {
			t.Errorf("%v with more behind it is %v", f, got)
		}
		for _, kind := range []byte{0, byte(frameReset) + 1, 255} {
			b[0] = kind
			if got, err := parseFrame(b); err == nil {
				t.Errorf("kind %d is %v", kind, got)
			}
		}
	}
}

// FuzzFrame: what is read is written as it was, and two ends of connections take in anything without harm.
func FuzzFrame(f *testing.F) {
	for i := range someFrames {
		f.Add(someFrames[i].append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sent := 0
		tunnels := newTunnels(1, func(uint64, []byte) error { sent++; return nil })
		l := tunnels.listen()
		defer l.Close()
		tunnels.heard(2, b)
		tunnels.heard(2, b)
		if sent > 2 {
			t.Errorf("%d answers to 2 frames", sent)
		}
		parsed, err := parseFrame(b)
		if err != nil {
			return
		}
		if again := parsed.append(nil); !reflect.DeepEqual(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}
