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

	"starling/tracker/client"
	"starling/wire"
)

// httpWorker makes one request after the other, over one kept-alive connection or over a connection each.
type httpWorker struct {
	*worker
	conn     net.Conn
	deadline time.Time
	dialer   net.Dialer
	announce []byte // a request up to the info hash
	scrape   []byte
	after    []byte // and from behind the last parameter
	out      []byte
	in       [maxResponse]byte
}

func newHTTPWorker(w *worker) *httpWorker {
	after := " HTTP/1.1\r\nHost: " + w.cfg.Target.Host + "\r\n"
	if w.cfg.Fresh {
		after += "Connection: close\r\n"
	}
	h := &httpWorker{
		worker:   w,
		dialer:   net.Dialer{Timeout: w.cfg.Timeout, KeepAlive: -1},
		announce: []byte("GET " + requestStart(w.cfg.Target) + "info_hash="),
		after:    []byte(after + "\r\n"),
	}
	if scrape, err := client.ScrapeURL(w.cfg.Target); err == nil {
		h.scrape = []byte("GET " + requestStart(scrape) + "info_hash=")
	}
	if source := w.source(); source.IsValid() {
		h.dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	h.dialer.SetMultipathTCP(false)
	return h
}

// source returns the address that the worker's peers announce from; not valid when the system may choose it.
func (w *worker) source() netip.Addr {
	if len(w.pop.sources) == 1 {
		return netip.Addr{}
	}
	return w.pop.sources[w.number%len(w.pop.sources)].AddrPort().Addr()
}

// requestStart returns path and query of the target, ready for a parameter to be added.
func requestStart(u *url.URL) string {
	if u.RawQuery != "" {
		return u.EscapedPath() + "?" + u.RawQuery + "&"
	}
	return u.EscapedPath() + "?"
}

// loop makes requests until there are no more to make. In an open loop it waits for when one is due; what is due while all workers wait
// for answers is late, and counts as late.
func (w *httpWorker) loop() {
	defer w.flush()
	defer w.hangUp()
	for {
		at := time.Now()
		if pace := w.phase.pace; pace != nil {
			due, ok := <-pace.due
			if !ok {
				return
			}
			at = due
		}
		if !w.connected() {
			return
		}
		d, ok := w.draw(time.Now())
		if !ok {
			return
		}
		if keep := w.request(&d, at); !keep || w.cfg.Fresh {
			w.hangUp()
		}
	}
}

// connected dials, unless there is a connection or one is to be made for each request; false: the run is over.
func (w *httpWorker) connected() bool {
	for w.conn == nil && !w.cfg.Fresh {
		if w.stop.Load() {
			return false
		}
		if f, err := w.dial(); err != nil {
			w.trouble(f, err.Error())
		}
	}
	return true
}

func (w *httpWorker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

func (w *httpWorker) dial() (failure, error) {
	conn, err := w.dialer.Dial("tcp", w.remote.String())
	if err != nil {
		return failConnect, err
	}
	// The tracker's view of us is what answers are checked against.
	want := w.pop.sources[w.number%len(w.pop.sources)].AddrPort().Addr()
	if local, err := netip.ParseAddrPort(conn.LocalAddr().String()); err != nil || local.Addr().Unmap().WithZone("") != want {
		conn.Close()
		return failConnect, errors.New("from another address: " + conn.LocalAddr().String())
	}
	w.conn, w.deadline = conn, time.Time{}
	return 0, nil
}

// request makes a request, waits for the answer and judges it; false: the connection is of no more use. The latency counts from at, and
// where each request has a connection of its own, making that is part of it.
func (w *httpWorker) request(d *deed, at time.Time) (keep bool) {
	w.out = w.appendRequest(w.out[:0], d)
	if w.conn == nil {
		if f, err := w.dial(); err != nil {
			w.fail(d, f, err.Error())
			return false
		}
	}
	// Moving the deadline costs more than it is worth for each announce: it stands at least a timeout ahead.
	if now := time.Now(); w.deadline.Sub(now) < w.cfg.Timeout {
		w.deadline = now.Add(w.cfg.Timeout * 3 / 2)
		w.conn.SetDeadline(w.deadline)
	}
	if _, err := w.conn.Write(w.out); err != nil {
		w.lost(d, err)
		return false
	}
	r, err := w.read()
	if err != nil {
		w.lost(d, err)
		return false
	}
	now := time.Now()
	var a answer
	var refusal []byte
	if d.scrape {
		refusal, err = parseScrape(r.body, w.pop.hash(d.peer), &a)
	} else {
		refusal, err = parseAnswer(r.body, &a)
	}
	switch {
	case err == errRefused:
		w.fail(d, failRefused, string(refusal))
	case r.status != 200:
		w.fail(d, failStatus, strconv.Itoa(r.status))
	case err != nil:
		w.fail(d, failMalformed, err.Error())
	default:
		w.judge(d, &a, now, now.Sub(at))
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

// lost counts a request that got no answer.
func (w *httpWorker) lost(d *deed, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.fail(d, failTimeout, "")
	case err == errResponse:
		w.fail(d, failMalformed, err.Error())
	default:
		w.fail(d, failClosed, err.Error())
	}
}

// appendRequest appends the request of a deed.
func (w *httpWorker) appendRequest(b []byte, d *deed) []byte {
	const digits = "0123456789ABCDEF"
	if d.scrape {
		b = append(b, w.scrape...)
	} else {
		b = append(b, w.announce...)
	}
	for _, c := range w.pop.hash(d.peer) {
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	if !d.scrape {
		id := peerID(d.peer)
		b = append(append(b, "&peer_id="...), id[:]...)
		b = strconv.AppendUint(append(b, "&port="...), uint64(w.pop.port(d.peer)), 10)
		b = strconv.AppendUint(append(b, "&uploaded=0&downloaded=0&left="...), d.left, 10)
		b = strconv.AppendUint(append(b, "&compact=1&numwant="...), uint64(w.cfg.NumWant), 10)
		if d.event != wire.EventNone {
			b = append(append(b, "&event="...), d.event.String()...)
		}
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
