package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"starling/wire"
)

// Numbers of BEP 15.
const (
	bepFirstWait = 15 * time.Second
	bepTries     = 9           // waits of 15 s times 2^0 to 2^8
	connectionID = time.Minute // how long a connection id may be used
)

// Numbers of ours.
const (
	maxAnswer    = 1 << 20  // bytes of an HTTP answer, unpacked
	maxHeader    = 64 << 10 // bytes of its header
	maxRedirects = 5
)

// Client asks trackers. The zero value waits as long as BEP 15 says, more than two hours in all; the
// context of a call ends it sooner.
type Client struct {
	// FirstWait is how long the first UDP packet of a call waits for its answer; each silent wait doubles the next. 0: 15 s.
	FirstWait time.Duration
	// Tries is how many UDP packets may stay unanswered before the call fails. 0: 9.
	Tries int

	// dial opens UDP conversations; tests put a scripted tracker here. nil: the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Announce is what a client tells a tracker.
type Announce struct {
	InfoHash   wire.InfoHash
	PeerID     [20]byte
	Port       uint16 // where this client listens
	Uploaded   uint64 // bytes, as Downloaded and Left
	Downloaded uint64
	Left       uint64
	Event      wire.Event
	NumWant    int        // negative: as many as the tracker likes
	IP         netip.Addr // invalid: the address the tracker sees. Over UDP IPv4 only
}

// AnnounceReply is what a tracker answers to an announce. The keys of its JSON form are stable and all always there.
type AnnounceReply struct {
	Interval    uint32     `json:"interval"`     // seconds until the next announce
	MinInterval uint32     `json:"min_interval"` // seconds, 0: not told
	Complete    *uint64    `json:"complete"`     // seeders, nil: not told
	Incomplete  *uint64    `json:"incomplete"`   // leechers, nil: not told
	Downloaded  *uint64    `json:"downloaded"`   // completions, nil: not told
	ExternalIP  netip.Addr `json:"external_ip"`  // the address the tracker saw (BEP 24), invalid: not told
	Warning     string     `json:"warning"`      // empty: none
	Peers       []Peer     `json:"peers"`        // never nil
}

// Peer is a client of the swarm, as the tracker hands it out.
type Peer struct {
	IP   netip.Addr `json:"ip"`
	Port uint16     `json:"port"`
}

// String returns address and port, as 192.0.2.1:6881 or [2001:db8::1]:6881.
func (p Peer) String() string { return netip.AddrPortFrom(p.IP, p.Port).String() }

// ScrapeFile is what a tracker answers for one torrent of a scrape.
type ScrapeFile struct {
	Complete    uint64  `json:"complete"`    // seeders
	Incomplete  uint64  `json:"incomplete"`  // leechers
	Downloaded  uint64  `json:"downloaded"`  // completions, 0 when not told
	Downloaders *uint64 `json:"downloaders"` // leechers that still download (BEP 21), nil: not told
}

// ScrapeReply is what a tracker answers to a scrape: the torrents it told of among those asked for.
// Over HTTP one that is unknown to the tracker is missing, over UDP it has zero counts.
type ScrapeReply struct {
	Files map[wire.InfoHash]ScrapeFile
}

// ParseURL reads a tracker's URL. It must have the scheme http, https or udp and a host, udp a port
// too. Without a path it means /announce.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("tracker %q is not a URL", s)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp":
		return nil, fmt.Errorf("tracker %q: the scheme must be http, https or udp", s)
	case u.Hostname() == "":
		return nil, fmt.Errorf("tracker %q has no host", s)
	case u.Scheme == "udp" && u.Port() == "":
		return nil, fmt.Errorf("tracker %q has no port, which udp needs", s)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = "/announce", ""
	}
	u.Fragment = ""
	return u, nil
}

// Announce announces to the tracker at u, as [ParseURL] returned it. It fails with a [*FailureError] when the tracker refuses,
// a [*StatusError] or an [*AnswerError] when what it sends is no answer, a [*SilenceError] when nothing comes back in time
// (for UDP after the tries, for both at ctx's deadline), and with the errors of the network and of a cancelled ctx.
func (c *Client) Announce(ctx context.Context, u *url.URL, a *Announce) (*AnnounceReply, error) {
	if u.Scheme == "udp" {
		return c.announceUDP(ctx, u, a)
	}
	return announceHTTP(ctx, u, a)
}

// Scrape asks the tracker at u for the counts of torrents: at least one, over HTTP at most
// [wire.MaxScrape], over UDP at most [wire.MaxUDPScrape]. Its errors are those of Announce.
func (c *Client) Scrape(ctx context.Context, u *url.URL, hashes []wire.InfoHash) (*ScrapeReply, error) {
	limit := wire.MaxScrape
	if u.Scheme == "udp" {
		limit = wire.MaxUDPScrape
	}
	if len(hashes) == 0 || len(hashes) > limit {
		return nil, fmt.Errorf("%d info hashes in one scrape, want 1 to %d over %s", len(hashes), limit, u.Scheme)
	}
	if u.Scheme == "udp" {
		return c.scrapeUDP(ctx, u, hashes)
	}
	return scrapeHTTP(ctx, u, hashes)
}
