package catchup

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"starling/livesync/edits"
	"starling/livesync/seal"
	"starling/wire"
)

// TestFetchEdits carries frames over TLS: all of them come, and what the other side refuses, breaks off or makes too long is an error.
func TestFetchEdits(t *testing.T) {
	cfg := mustTLS(t, seal.Key{1})
	var frames [][]byte
	var sums []byte
	var refused error
	ln, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s := Server{TLS: cfg, Edits: func(_ time.Time, r Request, got []byte) (func() []byte, error) {
		sums = bytes.Clone(got)
		left := frames // those of this request, which may go on when it has been given up
		return func() (frame []byte) {
			if len(left) > 0 {
				frame, left = left[0], left[1:]
			}
			return frame
		}, refused
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	defer func() {
		cancel()
		<-ended
	}()
	r := Request{ID: wire.NodeID{1}, Target: wire.NodeID{2}, Edits: true}
	sent := make([]byte, 1+edits.SumsSize(2))
	sent[0] = 2
	fetch := func(take func(frame []byte) error) ([][]byte, error) {
		var got [][]byte
		err := FetchEdits(ctx, DialTCP, cfg, ln.Addr().(*net.TCPAddr).AddrPort(), r.Append(nil), sent, func(_ time.Time, frame []byte) error {
			got = append(got, bytes.Clone(frame))
			return take(frame)
		})
		return got, err
	}
	good := func([]byte) error { return nil }
	if got, err := fetch(good); err != nil || len(got) != 0 || !bytes.Equal(sums, sent) {
		t.Errorf("nothing: %d frames, %v", len(got), err)
	}
	frames = [][]byte{{1}, bytes.Repeat([]byte{2}, edits.MaxFrame), {3, 3}}
	if got, err := fetch(good); err != nil || len(got) != 3 || !bytes.Equal(got[1], frames[1]) {
		t.Errorf("%d frames: %v", len(got), err)
	}
	bad := errors.New("bad")
	if _, err := fetch(func([]byte) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("a frame that is refused: %v", err)
	}
	frames = [][]byte{make([]byte, edits.MaxFrame+1)}
	if _, err := fetch(good); err == nil {
		t.Error("a frame that is too long was taken")
	}
	refused = ErrTarget
	if _, err := fetch(good); err == nil {
		t.Error("a refused request looks answered")
	}
}
