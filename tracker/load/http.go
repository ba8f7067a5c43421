package load

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"time"

	"starling/wire"
)

// httpWorker announces over one kept-alive connection, one announce after the other.
type httpWorker struct {
	*worker
	conn     net.Conn
	deadline time.Time
	before   []byte // the request up to the info hash
	after    []byte // and from behind the last parameter
	out      []byte
	in       [maxResponse]byte
}

func newHTTPWorker(w *worker) *httpWorker {
	return &httpWorker{
		worker: w,
		before: []byte("GET " + requestStart(w.cfg.Target) + "info_hash="),
		after:  []byte(" HTTP/1.1\r\nHost: " + w.cfg.Target.Host + "\r\n\r\n"),
	}
}

// requestStart returns path and query of the target, ready for a parameter to be added.
func requestStart(u *url.URL) string {
	if u.RawQuery != "" {
		return u.EscapedPath() + "?" + u.RawQuery + "&"
	}
	return u.EscapedPath() + "?"
}

func (w *httpWorker) loop() {
	for !w.stop.Load() {
		if w.conn == nil && !w.dial() {
			w.pause()
			continue
		}
		if keep := w.announce(w.rng.IntN(w.pop.peers)); !keep {
			w.conn.Close()
			w.conn = nil
		}
	}
	if w.conn != nil {
		w.conn.Close()
	}
}

func (w *httpWorker) dial() bool {
	conn, err := net.DialTimeout("tcp", w.remote.String(), w.cfg.Timeout)
	if err != nil {
		w.tally.fail(failConnect, err.Error())
		return false
	}
	// The tracker's view of us is what answers are checked against.
	if local, err := netip.ParseAddrPort(conn.LocalAddr().String()); err != nil || local.Addr().Unmap().WithZone("") != w.pop.local.Addr() {
		w.tally.fail(failConnect, "from another address: "+conn.LocalAddr().String())
		conn.Close()
		return false
	}
	w.conn, w.deadline = conn, time.Time{}
	return true
}

// announce announces peer k, waits for the answer and judges it; false: the connection is of no more use.
func (w *httpWorker) announce(k int) bool {
	w.out = w.appendRequest(w.out[:0], k, w.pop.announce(k))
	start := time.Now()
	// Moving the deadline costs more than it is worth for each announce: it stands at least a timeout ahead.
	if w.deadline.Sub(start) < w.cfg.Timeout {
		w.deadline = start.Add(w.cfg.Timeout * 3 / 2)
		w.conn.SetDeadline(w.deadline)
	}
	if _, err := w.conn.Write(w.out); err != nil {
		w.lost(err)
		return false
	}
	r, err := w.read()
	if err != nil {
		w.lost(err)
		return false
	}
	took := time.Since(start)
	var a answer
	failure, err := parseAnswer(r.body, &a)
	switch {
	case err == errRefused:
		w.tally.fail(failRefused, string(failure))
	case r.status != 200:
		w.tally.fail(failStatus, strconv.Itoa(r.status))
	case err != nil:
		w.tally.fail(failMalformed, err.Error())
	default:
		w.judge(k, &a, took)
	}
	return !r.close
}

// read reads one response. Nothing may follow it, as nothing else was asked.
func (w *httpWorker) read() (response, error) {
	for n := 0; n < len(w.in); {
		more, err := w.conn.Read(w.in[n:])
		n += more
		if err != nil && !(err == io.EOF && n > 0) {
			return response{}, err
		}
		ended := err == io.EOF
		r, err := parseResponse(w.in[:n])
		switch {
		case err == errMore && ended:
			return response{}, io.ErrUnexpectedEOF
		case err == errMore:
		case err != nil:
			return response{}, err
		case r.size < 0 && !ended:
		case r.size >= 0 && r.size < n:
			return response{}, errResponse
		default:
			return r, nil
		}
	}
	return response{}, errResponse
}

// lost counts an announce that got no answer.
func (w *httpWorker) lost(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.tally.fail(failTimeout, "")
	case err == errResponse:
		w.tally.fail(failMalformed, err.Error())
	default:
		w.tally.fail(failClosed, err.Error())
	}
}

// appendRequest appends the announce of peer k.
func (w *httpWorker) appendRequest(b []byte, k int, event wire.Event) []byte {
	const digits = "0123456789ABCDEF"
	b = append(b, w.before...)
	for _, c := range w.pop.hash(k) {
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	id := peerID(k)
	b = append(append(b, "&peer_id="...), id[:]...)
	b = strconv.AppendUint(append(b, "&port="...), uint64(w.pop.port(k)), 10)
	b = strconv.AppendUint(append(b, "&uploaded=0&downloaded=0&left="...), w.pop.left(k), 10)
	b = strconv.AppendUint(append(b, "&compact=1&numwant="...), numWant, 10)
	if event != wire.EventNone {
		b = append(append(b, "&event="...), event.String()...)
	}
	return append(b, w.after...)
}

// peerID returns the id of peer k: letters and digits only, which need no escaping.
func peerID(k int) [20]byte {
	id := [20]byte([]byte("-SL0001-000000000000"))
	for i := len(id) - 1; k > 0; i-- {
		id[i] = byte('0' + k%10)
		k /= 10
	}
	return id
}
