package client

import (
	"math"
	"net/netip"
	"time"

	"github.com/anacrolix/torrent/bencode"

	"starling/wire"
)

// dict is a bencoded dictionary whose values are not yet looked at: which of them matter, and what
// type they must have, is the caller's to say.
type dict map[string]bencode.Bytes

// parseDict reads an HTTP answer. One with a failure reason is a [*FailureError].
func parseDict(body []byte) (dict, error) {
	var d dict
	if len(body) == 0 || body[0] != 'd' {
		return nil, answerErrorf("it is no bencoded dictionary but begins with %.40q", body)
	}
	if err := bencode.Unmarshal(body, &d); err != nil {
		return nil, answerErrorf("%v", err)
	}
	if _, refused := d["failure reason"]; !refused {
		return d, nil
	}
	reason, err := d.str("failure reason")
	if err != nil {
		return nil, err
	}
	fe := &FailureError{Reason: reason}
	// BEP 31: minutes as an integer, or the word never.
	if minutes, err := d.uint("retry in", math.MaxInt32); err == nil && minutes != nil {
		fe.RetryIn = time.Duration(*minutes) * time.Minute
	} else if word, err := d.str("retry in"); err == nil {
		fe.Never = word == "never"
	}
	return nil, fe
}

// uint returns the integer under key, which must lie between 0 and limit; nil when there is none.
func (d dict) uint(key string, limit uint64) (*uint64, error) {
	raw, ok := d[key]
	if !ok {
		return nil, nil
	}
	var v uint64
	if raw[0] != 'i' || bencode.Unmarshal(raw, &v) != nil || v > limit {
		return nil, answerErrorf("%s is %.40q, want an integer from 0 to %d", key, raw, limit)
	}
	return &v, nil
}

// str returns the string under key, empty when there is none.
func (d dict) str(key string) (string, error) {
	raw, ok := d[key]
	if !ok {
		return "", nil
	}
	var v string
	if raw[0] < '0' || raw[0] > '9' || bencode.Unmarshal(raw, &v) != nil {
		return "", answerErrorf("%s is %.40q, want a string", key, raw)
	}
	return v, nil
}

// reader reads several keys of a dictionary and keeps the first error.
type reader struct {
	d   dict
	err error
}

func (r *reader) uint(key string, limit uint64) *uint64 {
	v, err := r.d.uint(key, limit)
	if r.err == nil {
		r.err = err
	}
	return v
}

func (r *reader) count(key string) uint64 {
	if v := r.uint(key, math.MaxInt64); v != nil {
		return *v
	}
	return 0
}

func (r *reader) str(key string) string {
	v, err := r.d.str(key)
	if r.err == nil {
		r.err = err
	}
	return v
}

// parseAnnounce reads the answer to an announce. An interval must be there; without peers it has none, as
// some trackers answer to a stop.
func parseAnnounce(body []byte) (*AnnounceReply, error) {
	d, err := parseDict(body)
	if err != nil {
		return nil, err
	}
	r := &reader{d: d}
	interval := r.uint("interval", math.MaxUint32)
	a := &AnnounceReply{
		Complete:   r.uint("complete", math.MaxInt64),
		Incomplete: r.uint("incomplete", math.MaxInt64),
		Downloaded: r.uint("downloaded", math.MaxInt64),
		Warning:    r.str("warning message"),
		Peers:      []Peer{},
	}
	if v := r.uint("min interval", math.MaxUint32); v != nil {
		a.MinInterval = uint32(*v)
	}
	external := r.str("external ip")
	if r.err != nil {
		return nil, r.err
	}
	if interval == nil {
		return nil, answerErrorf("it has no interval")
	}
	a.Interval = uint32(*interval)
	if external != "" {
		var ok bool
		if a.ExternalIP, ok = netip.AddrFromSlice([]byte(external)); !ok {
			return nil, answerErrorf("external ip has %d bytes, want 4 or 16", len(external))
		}
	}
	if err := a.readPeers(d); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *AnnounceReply) readPeers(d dict) error {
	if peers, ok := d["peers"]; ok && peers[0] == 'l' {
		if err := a.readPeerList(peers); err != nil {
			return err
		}
	} else {
		compact, err := d.str("peers")
		if err != nil {
			return err
		}
		if a.Peers, err = appendCompact(a.Peers, []byte(compact), wire.Compact4); err != nil {
			return err
		}
	}
	compact, err := d.str("peers6")
	if err != nil {
		return err
	}
	a.Peers, err = appendCompact(a.Peers, []byte(compact), wire.Compact6)
	return err
}

// readPeerList reads peers as BEP 3 had them first, a list of dictionaries. A host name instead of an address is not taken.
func (a *AnnounceReply) readPeerList(raw []byte) error {
	var list []dict
	if err := bencode.Unmarshal(raw, &list); err != nil {
		return answerErrorf("peers: %v", err)
	}
	for i, d := range list {
		r := &reader{d: d}
		text, port := r.str("ip"), r.uint("port", math.MaxUint16)
		if r.err != nil {
			return r.err
		}
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" || port == nil {
			return answerErrorf("peer %d of %d is not an address and a port", i+1, len(list))
		}
		a.Peers = append(a.Peers, Peer{ip, uint16(*port)})
	}
	return nil
}

// appendCompact appends compact peers of size bytes each, 6 or 18.
func appendCompact(dst []Peer, b []byte, size int) ([]Peer, error) {
	if len(b)%size != 0 {
		return nil, answerErrorf("%d bytes of peers are no multiple of %d", len(b), size)
	}
	for ; len(b) > 0; b = b[size:] {
		p := wire.PeerFrom6
		if size == wire.Compact4 {
			p = wire.PeerFrom4
		}
		ap := p(b).AddrPort()
		dst = append(dst, Peer{ap.Addr(), ap.Port()})
	}
	return dst, nil
}

// parseScrape reads the answer to a scrape of hashes. Torrents that were not asked for are left out.
func parseScrape(body []byte, hashes []wire.InfoHash) (*ScrapeReply, error) {
	d, err := parseDict(body)
	if err != nil {
		return nil, err
	}
	raw, ok := d["files"]
	if !ok || raw[0] != 'd' {
		return nil, answerErrorf("it has no dictionary named files")
	}
	var files map[string]bencode.Bytes
	if err := bencode.Unmarshal(raw, &files); err != nil {
		return nil, answerErrorf("files: %v", err)
	}
	s := &ScrapeReply{Files: make(map[wire.InfoHash]ScrapeFile, len(hashes))}
	for _, h := range hashes {
		raw, ok := files[string(h[:])]
		if !ok {
			continue
		}
		var file dict
		if raw[0] != 'd' || bencode.Unmarshal(raw, &file) != nil {
			return nil, answerErrorf("the entry of %v is no dictionary", h)
		}
		r := &reader{d: file}
		s.Files[h] = ScrapeFile{
			Complete:    r.count("complete"),
			Incomplete:  r.count("incomplete"),
			Downloaded:  r.count("downloaded"),
			Downloaders: r.uint("downloaders", math.MaxInt64),
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return s, nil
}
