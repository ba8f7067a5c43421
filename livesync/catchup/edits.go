package catchup

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"starling/livesync/edits"
)

// A request with [Request.Edits] is about the lists that all nodes share, see package edits. Sums follow it, and the answer is in frames:
//
//	| length of entries u32 | entries |  ...  | 0 u32 |

// maxFetched is how many bytes of entries are taken from one node at once: more than there may be, and an end to a node that goes on for ever.
const maxFetched = 1 << 30

// tellEdits answers such a request.
func (s *Server) tellEdits(ctx context.Context, conn *tls.Conn, r Request) (sent int, err error) {
	if s.Edits == nil {
		return 0, ErrRequest
	}
	sums := make([]byte, 1, edits.MaxSums)
	if _, err := io.ReadFull(conn, sums); err != nil {
		return 0, err
	}
	sums = sums[:1+edits.SumsSize(sums[0])]
	if _, err := io.ReadFull(conn, sums[1:]); err != nil {
		return 0, err
	}
	frames, err := s.Edits(time.Now(), r, sums)
	if err != nil {
		return 0, err
	}
	for frame := frames(); frame != nil; frame = frames() {
		b := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
		if err := s.write(ctx, conn, b); err != nil {
			return sent, err
		}
		sent += len(b)
	}
	return sent + 4, s.write(ctx, conn, make([]byte, 4))
}

// Dial opens a connection to a node; [DialTCP] does, and a relay where there is no other way.
type Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// DialTCP opens a connection over TCP.
func DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: handshakeTime}
	dialer.SetMultipathTCP(false)
	return dialer.DialContext(ctx, "tcp", addr.String())
}

// dial connects to another node, and sends the request. The connection is closed when ctx ends.
func dial(ctx context.Context, to Dial, cfg *tls.Config, addr netip.AddrPort, request []byte) (conn *tls.Conn, end func(), err error) {
	raw, err := to(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(handshakeTime))
	conn = tls.Client(raw, cfg)
	end = func() {
		stop()
		raw.Close()
	}
	if _, err := conn.Write(request); err != nil {
		end()
		return nil, nil, err
	}
	return conn, end, nil
}

// FetchEdits asks the node at an address with a request and the sums of what we have, and hands over frame by frame what we lack.
func FetchEdits(ctx context.Context, to Dial, cfg *tls.Config, addr netip.AddrPort, request, sums []byte, take func(now time.Time, frame []byte) error) error {
	conn, end, err := dial(ctx, to, cfg, addr, append(request, sums...))
	if err != nil {
		return err
	}
	defer end()
	frame := make([]byte, edits.MaxFrame)
	for left := maxFetched; left > 0; {
		conn.SetDeadline(time.Now().Add(stall))
		var length [4]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(length[:])
		switch {
		case n == 0:
			return nil
		case n > edits.MaxFrame:
			return fmt.Errorf("a frame of %d bytes, %d are the most", n, edits.MaxFrame)
		}
		left -= int(n)
		if _, err := io.ReadFull(conn, frame[:n]); err != nil {
			return err
		}
		if err := take(time.Now(), frame[:n]); err != nil {
			return err
		}
	}
	return errors.New("more entries than there can be")
}
