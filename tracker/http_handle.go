package tracker

import (
	"errors"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"starling/tracker/access"
	"starling/tracker/pacer"
	"starling/wire"
)

// exchange turns requests into answers for one connection at a time. It
// holds what an answer needs on the way and is used again by later connections, so that an announce
// is answered without an allocation.
type exchange struct {
	*HTTP
	tally   *tally
	ending  *atomic.Bool // the server ends: every answer is the last of its connection
	leaving *atomic.Bool // the server ends and keeps its connections; only of those with a goroutine
	stay    func() bool  // whether the connection may stay open; nil: it may

	in, out  []byte // what was read and not eaten yet; what is to be written
	body     []byte
	query    wire.Query
	announce Announce
	answer   Answer
	hashes   []wire.InfoHash
	files    []wire.ScrapeFile
	aside    LongAnswer // to the request that in begins with; nil: it is answered here

	announces uint64 // in out
	key       []byte // the passkey in the path, with rules that want one
	held      bool   // the client of this request is in the jail, if it is watched

	pacing *Pacing // the server's, since the last bytes were read; nil: nothing is paced

	// With pacing only.
	toll     toll
	booking  pacer.Booking
	location []byte        // where a request is sent on to
	waited   time.Duration // before the last answer
	lane
}

// handle appends to dst the answer to the request that in begins with, sent by
// from, and returns how many bytes the request took. last says that the
// connection ends with this answer. A request that is not whole yet takes
// nothing, answers nothing and is not the last; one that is no request at all takes nothing and is the last. One that
// is to be answered aside takes nothing either, and x.aside says by whom.
func (x *exchange) handle(now time.Time, from netip.Addr, in, dst []byte) (out []byte, n int, last bool) {
	r, n, err := wire.ParseRequest(in)
	if err == wire.ErrIncomplete {
		return dst, 0, false
	}
	if err != nil {
		return x.refuseRequest(dst, err), 0, true
	}
	h := responseHead{status: 200, http10: r.HTTP10, close: r.Close || x.ending.Load() || x.stay != nil && !x.stay()}
	x.body = x.body[:0]
	path := r.Path
	if x.key = nil; x.tracker.Access().Private() {
		x.key, path = access.PathKey(path)
	}
	switch {
	case string(path) == "/announce":
		x.handleAnnounce(now, from, &r)
	case x.isLong(path, r.Query):
		return dst, 0, false
	case string(path) == "/scrape":
		x.handleScrape(now, from, &r)
	default:
		x.tally.refuse(refusePath)
		h.status = 404
		x.body = append(x.body, "there is /announce and /scrape\n"...)
	}
	if x.pacing != nil {
		x.waited = x.paceRequest(now, from, &r, &h)
	}
	dst = h.append(dst, len(x.body))
	if string(r.Method) != "HEAD" {
		dst = append(dst, x.body...)
	}
	return dst, n, h.close
}

// isLong reports whether a request is to be answered aside, see [HTTPConfig.Long].
func (x *exchange) isLong(path, query []byte) bool {
	if x.HTTP.long == nil || string(path) == "/scrape" && wire.NamesTorrent(query) {
		return false
	}
	x.aside = x.HTTP.long(path, query)
	return x.aside != nil
}

// store returns the tracker that a request is for.
func (x *exchange) store(r *wire.Request) *Tracker {
	if x.route != nil {
		if t := x.route(r.Host); t != nil {
			return t
		}
	}
	return x.tracker
}

// handleAnnounce stores the peer and writes the answer, or what is wrong, to the body.
func (x *exchange) handleAnnounce(now time.Time, from netip.Addr, r *wire.Request) {
	q := &x.query
	if err := q.Parse(r.Query); err != nil {
		x.refuseParameter(err.Error())
		return
	}
	client, ok := x.sources.client(from, &r.ForwardedFor)
	if !ok {
		x.refuseParameter("X-Forwarded-For: not an address")
		return
	}
	rules := x.tracker.Access()
	if rules != nil && x.refusesClient(now, rules, client) {
		return
	}
	watched := x.abuse != nil && watches(&x.sources, client)
	if watched && x.turnsAway(now, client) {
		return
	}
	if q.IP.IsValid() && x.sources.mayNameIP(client) {
		client = q.IP
	}
	a := &x.announce
	*a = Announce{
		InfoHash:     q.InfoHash,
		Peer:         wire.PeerFrom(netip.AddrPortFrom(client, q.Port)),
		Event:        q.Event,
		Seeder:       q.Left == 0,
		NumWant:      q.NumWant,
		BothFamilies: true,
		Checked:      rules,
		Watched:      watched,
		Held:         watched && x.held,
	}
	if !a.Peer.Valid() {
		x.refuseParameter("ip: not the address of a client")
		return
	}
	if rules != nil {
		if v := rules.Torrent(&a.InfoHash); v != access.Served {
			x.refuse(v)
			return
		}
	}
	if a.Event == wire.EventStopped {
		a.NumWant = 0
	}
	store := x.store(r)
	x.answer = Answer{Peers4: x.answer.Peers4[:0], Peers6: x.answer.Peers6[:0]}
	if x.pacing == nil {
		store.Announce(now, a, &x.answer)
	} else {
		x.announcePaced(now, store, client)
	}
	a.Checked = nil // else an idle connection keeps lists in memory that hold no more
	if x.answer.Refused != access.Served {
		x.refuse(x.answer.Refused)
		return
	}
	if watched {
		x.abuse.Announced(now, client, deedOf(a, &x.answer))
	}
	x.tally.announces.Add(1)
	x.announces++
	x.body = x.appendReply(x.body, client)
}

// appendReply appends the bencoded answer to the announce of a client.
func (x *exchange) appendReply(b []byte, client netip.Addr) []byte {
	reply := wire.AnnounceReply{
		Seeders:     x.answer.Seeders,
		Leechers:    x.answer.Leechers,
		Downloaded:  x.answer.Downloaded,
		Interval:    x.answer.Interval,
		MinInterval: x.answer.MinInterval,
		ExternalIP:  client,
		Peers4:      x.answer.Peers4,
		Peers6:      x.answer.Peers6,
		Compact:     x.query.Compact,
	}
	return reply.Append(b)
}

// handleScrape writes the counts of the torrents asked for to the body. Those
// not known are left out (BEP 48 has no other way to say so).
func (x *exchange) handleScrape(now time.Time, from netip.Addr, r *wire.Request) {
	hashes, err := wire.ParseScrape(r.Query, x.hashes[:0])
	x.hashes = hashes
	if err != nil {
		x.refuseParameter(err.Error())
		return
	}
	if len(hashes) == 0 {
		x.refuseParameter("info_hash: missing, there is no scrape of all torrents")
		return
	}
	if x.abuse != nil {
		if client, _ := x.sources.client(from, &r.ForwardedFor); watches(&x.sources, client) && x.turnsAway(now, client) {
			return
		}
	}
	if rules := x.tracker.Access(); rules != nil {
		client, _ := x.sources.client(from, &r.ForwardedFor)
		if x.refusesClient(now, rules, client) || x.refusesHashes(rules) {
			return
		}
	}
	if x.pacing != nil {
		client, _ := x.sources.client(from, &r.ForwardedFor)
		x.toll.client(pacer.Scrape, client, nil, int64(len(hashes)))
	}
	store := x.store(r)
	x.files = x.files[:0]
	for _, h := range hashes {
		if c, ok := store.Scrape(h); ok {
			x.files = append(x.files, wire.ScrapeFile{
				InfoHash:    h,
				Seeders:     c.Seeders,
				Leechers:    c.Leechers,
				Downloaders: c.Leechers - min(c.Partial, c.Leechers),
				Downloaded:  c.Downloaded,
			})
		}
	}
	x.tally.scrapes.Add(1)
	x.body = wire.AppendScrape(x.body, x.files)
}

// refuseParameter writes a failure reason to the body. Its status is 200: clients show a reason,
// but not one that comes with an error.
func (x *exchange) refuseParameter(reason string) {
	x.tally.refuse(refuseParameter)
	x.body = wire.AppendFailure(x.body, reason)
}

// refuseRequest appends the answer to what is no request this server reads.
func (x *exchange) refuseRequest(dst []byte, err error) []byte {
	if x.pacing != nil {
		x.pacing.count(x.toll.shard, pacer.Hangup)
	}
	bad := &wire.RequestError{Status: 400, Reason: "damaged request"}
	errors.As(err, &bad)
	if bad.Status == 405 {
		x.tally.refuse(refuseMethod)
	} else {
		x.tally.refuse(refuseMalformed)
	}
	h := responseHead{status: bad.Status, close: true}
	dst = h.append(dst, len(bad.Reason)+1)
	dst = append(dst, bad.Reason...)
	return append(dst, '\n')
}

// responseHead is the head of an answer. There is no Date in it, which no
// client of a tracker reads and which would be a seventh of an answer.
type responseHead struct {
	status   int
	http10   bool // to a client that closes unless it is told that the connection stays
	close    bool
	location []byte // of a 302
}

// append appends the head of an answer with a body of the given length.
func (h *responseHead) append(b []byte, length int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = append(b, statusLine(h.status)...)
	b = append(b, "\r\nContent-Type: text/plain\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	switch {
	case h.close:
		b = append(b, "\r\nConnection: close"...)
	case h.http10:
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	switch h.status {
	case 302:
		b = append(b, "\r\nLocation: "...)
		b = append(b, h.location...)
	case 405:
		b = append(b, "\r\nAllow: GET, HEAD"...)
	}
	return append(b, "\r\n\r\n"...)
}

// size returns how long the head is that append appends, for any status but 405.
func (h *responseHead) size(length int) int {
	n := len("HTTP/1.1 \r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n") + len(statusLine(h.status))
	for ; length > 9; length /= 10 {
		n++
	}
	switch {
	case h.close:
		n += len("\r\nConnection: close")
	case h.http10:
		n += len("\r\nConnection: keep-alive")
	}
	if h.status == 302 {
		n += len("\r\nLocation: ") + len(h.location)
	}
	return n
}

// statusLine returns a status with its phrase.
func statusLine(status int) string {
	switch status {
	case 200:
		return "200 OK"
	case 302:
		return "302 Found"
	case 404:
		return "404 Not Found"
	case 405:
		return "405 Method Not Allowed"
	case 413:
		return "413 Content Too Large"
	case 431:
		return "431 Request Header Fields Too Large"
	case 505:
		return "505 HTTP Version Not Supported"
	}
	return "400 Bad Request"
}
