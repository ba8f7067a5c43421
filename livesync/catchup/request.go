package catchup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"starling/wire"
)

// Want is a stream that is to be asked for.
type Want struct {
	ID    wire.NodeID
	Epoch uint64
	Addr  netip.AddrPort
	Since time.Time // by our clock; zero: nobody asks who stopped
	All   bool      // everything, and who stopped since then: we knew only a part, or nothing
	After time.Time // the request is not to be sent before: what comes from now on is noted, and the other node hears of it too, meanwhile
	Prune bool      // we were in step with the cluster at Since: if the stream holds all there is, who is not in it has gone since
}

// margin is added to how far back is asked for: what one node told, another heard a little later.
const margin = 2 * time.Second

// answerTime is how long an answer may take to begin. It is counted from when it begins how long ago something was told, and asked for in advance:
// whoever asks may be stopped before the request has left.
const answerTime = 5 * time.Second

// RequestSize is the length of a request, all that who asks ever sends:
//
//	| starling excerpts 1\n 20 | id 4 | epoch u64 | id of who is asked 4 | its epoch u64 | within, ms u64, 0: everything | flags u8 |
//
// The flag 0x01 asks for everything and for the stops within that time; 0x02 for nothing of that but for changes of shared lists.
const RequestSize = len(magic) + 33

const (
	flagAll   = 0x01
	flagEdits = 0x02
)

// Request is what a stream is asked for with.
type Request struct {
	ID          wire.NodeID // of who asks
	Epoch       uint64
	Target      wire.NodeID
	TargetEpoch uint64
	Within      time.Duration
	All         bool
	Edits       bool // changes of shared lists are asked for, by the sums that follow
}

// Request returns how to ask for a stream.
func (w *Want) Request(now time.Time, id wire.NodeID, epoch uint64) Request {
	r := Request{ID: id, Epoch: epoch, Target: w.ID, TargetEpoch: w.Epoch, All: w.All}
	if !w.Since.IsZero() {
		r.Within = max(now.Sub(w.Since), 0) + margin + answerTime
	}
	return r
}

// check compares a stream's header with what was asked for.
func (w *Want) check(h *Header) error {
	if h.ID != w.ID || h.Epoch != w.Epoch {
		return fmt.Errorf("asked node %s, epoch %d, and got the stream of %s, epoch %d", w.ID, w.Epoch, h.ID, h.Epoch)
	}
	return nil
}

// Append appends the request.
func (r *Request) Append(b []byte) []byte {
	b = append(append(b, magic...), r.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Epoch)
	b = append(b, r.Target[:]...)
	b = binary.BigEndian.AppendUint64(b, r.TargetEpoch)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Within/time.Millisecond))
	var flags byte
	if r.All {
		flags |= flagAll
	}
	if r.Edits {
		flags |= flagEdits
	}
	return append(b, flags)
}

// Why a request is refused.
var (
	ErrRequest = errors.New("not a request of this format")
	ErrTarget  = errors.New("another node, or another start of this one, was asked")
)

// ParseRequest reads a request.
func ParseRequest(b []byte) (Request, error) {
	if len(b) != RequestSize || string(b[:len(magic)]) != magic {
		return Request{}, ErrRequest
	}
	b = b[len(magic):]
	within := binary.BigEndian.Uint64(b[24:])
	if within > uint64(maxWithin/time.Millisecond) {
		within = 0
	}
	return Request{
		ID: wire.NodeID(b), Epoch: binary.BigEndian.Uint64(b[4:]), Target: wire.NodeID(b[12:]), TargetEpoch: binary.BigEndian.Uint64(b[16:]),
		Within: time.Duration(within) * time.Millisecond, All: b[32]&flagAll != 0, Edits: b[32]&flagEdits != 0,
	}, nil
}
