package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"starling/tracker"
	"starling/tracker/access"
	"starling/tracker/fullscrape"
	"starling/tracker/otstats"
	"starling/tracker/pacer"
	"starling/wire"
)

// openFullScrape makes what answers a scrape of all torrents and /stats, when some network may ask for them.
func (n *node) openFullScrape() {
	if len(n.cfg.fullScrape) > 0 {
		n.fullScrape = fullscrape.New(n.tracker, n.documents, func(bytes int) { n.steering.pacing.Document("/scrape", bytes) })
	}
}

// longAnswers is who answers what announces must not wait for; nil when nobody may ask for it.
func (n *node) longAnswers() func(path, query []byte) tracker.LongAnswer {
	if n.fullScrape == nil {
		return nil
	}
	return func(path, _ []byte) tracker.LongAnswer {
		switch string(path) {
		case "/scrape":
			return n.forNetworks(func(ctx context.Context, conn net.Conn, r *wire.Request) {
				n.fullScrape.Answer(ctx, conn, r, fullscrape.Ben)
			})
		case "/stats":
			return n.forNetworks(n.answerStats)
		}
		return nil
	}
}

// forNetworks answers the clients of the networks that may ask, and refuses all others.
func (n *node) forNetworks(answer func(ctx context.Context, conn net.Conn, r *wire.Request)) tracker.LongAnswer {
	return func(ctx context.Context, conn net.Conn, client netip.Addr, r *wire.Request) {
		allowed := slices.ContainsFunc(n.cfg.fullScrape, func(p netip.Prefix) bool { return p.Contains(client) })
		if !allowed || n.tracker.Access().Client(client) != access.Served {
			writeShort(conn, r, http.StatusForbidden, "full scrapes and stats are for the networks of --full-scrape, and yours is none of them\n")
			return
		}
		answer(ctx, conn, r)
	}
}

// answerStats answers as opentracker's /stats does.
func (n *node) answerStats(ctx context.Context, conn net.Conn, r *wire.Request) {
	query, err := url.ParseQuery(string(r.Query))
	mode := query.Get("mode")
	if mode == "" {
		mode = "peer"
	}
	format, known := fullscrape.ParseFormat(query.Get("format"))
	switch {
	case err != nil || query.Has("format") && !known:
		writeShort(conn, r, http.StatusBadRequest, "format: it is ben, bin, txt or url\n")
		return
	case mode == "tpbs":
		n.fullScrape.Answer(ctx, conn, r, format)
		return
	}
	if list, ok, err := n.fullScrape.Top(ctx, mode); err != nil {
		writeShort(conn, r, http.StatusServiceUnavailable, err.Error()+"\n")
	} else if ok {
		writeShort(conn, r, http.StatusOK, string(list))
	} else if text, ok := n.otFigures(time.Now()).Text(mode); ok {
		writeShort(conn, r, http.StatusOK, text)
	} else {
		modes := append(otstats.Modes(), "top10", "top100", "tpbs")
		slices.Sort(modes)
		writeShort(conn, r, http.StatusBadRequest, "mode: it is "+orList(modes)+"\n")
	}
}

// writeShort writes a whole answer that ends the connection.
func writeShort(conn net.Conn, r *wire.Request, status int, body string) {
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		status, http.StatusText(status), len(body))
	if string(r.Method) == "HEAD" {
		body = ""
	}
	io.WriteString(conn, head+body) // an error means that the reader has gone
}

// otFigures is what the answers to /stats are made of.
func (n *node) otFigures(now time.Time) *otstats.Figures {
	store, overHTTP, overUDP := n.tracker.Stats(), n.http.Counts(), n.udp.Counts()
	full, id := n.fullScrape.Counts(), n.livesync.Status().ID
	f := &otstats.Figures{
		TrackerID: binary.BigEndian.Uint32(id[:]), Version: strings.TrimSpace(version()), Uptime: now.Sub(n.started),
		Torrents: store.Torrents, Peers: store.Peers4 + store.Peers6, Seeders: store.Seeders, Completed: store.Completed, Renewed: store.Renewed,
		TCP:         otstats.Requests{Overall: overHTTP.Connects, Announces: overHTTP.Announces, Scrapes: overHTTP.Scrapes},
		UDP:         otstats.Requests{Connects: overUDP.Connects, Announces: overUDP.Announces, Scrapes: overUDP.Scrapes},
		Mismatches:  overUDP.Refused["connection_id"],
		FullScrapes: full.Answered, FullScrapeBytes: full.Bytes,
		Synced: n.livesync.Status().Received.Records,
		Failed: otstats.Failures{
			Redirected: n.steering.pacing.Stats(now).Steps[pacer.Redirect.String()],
			Malformed:  overHTTP.Refused["malformed"] + overHTTP.Refused["method"],
			Parameter:  overHTTP.Refused["parameter"],
			Denied:     overHTTP.Refused["denied"] + overHTTP.Refused["unlisted"] + overHTTP.Refused["denied_client"] + overHTTP.Refused["passkey"],
			NotFound:   overHTTP.Refused["path"],
		},
	}
	f.UDP.Overall = overUDP.Connects + overUDP.Announces + overUDP.Scrapes
	for _, refused := range overUDP.Refused {
		f.UDP.Overall += refused
	}
	return f
}
