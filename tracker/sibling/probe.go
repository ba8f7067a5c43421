package sibling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// RoomHeader is the header in which a tracker of ours says about itself, in the answer to a probe, that it has no room:
// its value is NoRoom then.
const (
	RoomHeader = "Starling-Room"
	NoRoom     = "none"
)

// The bounds of a probe.
const (
	probeTimeout = 2 * time.Second
	maxHead      = 16 << 10 // bytes of the head of an answer
	maxAnswer    = 4 << 10  // bytes of a body, which plays no part
	maxTrouble   = 200      // bytes of what is kept of an error
)

// result is what came of a probe.
type result struct {
	ended   bool       // we ended meanwhile: it says nothing
	trouble string     // empty: it answered 200
	room    bool       // and did not say that it has none
	addr    netip.Addr // where it was asked, if it was reached
}

// printable returns what of an error can be shown: it may repeat whatever the other end sent, and ends on a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxTrouble)]
}

// probe asks for the health of a sibling.
func (s *Set) probe(ctx context.Context, health string) (r result) {
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if a, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
			r.addr = a.AddrPort().Addr().Unmap()
		}
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, health, nil)
	if err != nil {
		return result{trouble: printable(err.Error())}
	}
	res, err := s.client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return result{trouble: printable(err.Error()), ended: ctx.Err() != nil}
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // only the head counts
	if res.StatusCode != http.StatusOK {
		r.trouble = strings.TrimSpace(fmt.Sprintf("it answers %d %s", res.StatusCode, http.StatusText(res.StatusCode)))
	}
	r.room = res.Header.Get(RoomHeader) != NoRoom
	return r
}
