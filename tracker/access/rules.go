package access

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"starling/wire"
)

// Verdict is what the rules say of a torrent, a client or a passkey. Its text is what a client is told.
type Verdict uint8

// The verdicts. The zero verdict serves.
const (
	Served Verdict = iota
	DeniedTorrent
	UnlistedTorrent
	DeniedClient
	NoKey
	UnknownKey
	RevokedKey
	ExpiredKey
	NoKeyInScrape // over UDP
	Verdicts
)

var verdictTexts = [Verdicts]string{
	Served:          "served",
	DeniedTorrent:   "info_hash: this torrent is denied here",
	UnlistedTorrent: "info_hash: this torrent is not on the list of those served here",
	DeniedClient:    "this client is not served",
	NoKey:           "passkey: missing, announce to /YOUR-PASSKEY/announce",
	UnknownKey:      "passkey: not known here",
	RevokedKey:      "passkey: revoked",
	ExpiredKey:      "passkey: expired",
	NoKeyInScrape:   "passkey: scrape over HTTP",
}

// String returns what a client is told. None is longer than the 90 bytes that the error of a BEP 15 announce may have without being longer
// than the request, and those of a scrape have 28 at most.
func (v Verdict) String() string { return verdictTexts[v] }

// Rules is what holds at a time. It never changes. Nil rules serve everybody everything.
type Rules struct {
	allow, deny           *Hashes
	only                  bool // what is allowed, and nothing else
	allowEdits, denyEdits overlay[wire.InfoHash, Op]
	clients               *bart.Lite // nil: none is denied
	keys                  *Keys      // nil: not private
	keyEdits              overlay[Digest, KeyEdit]
}

// KeyEdit is what an edit says of a passkey.
type KeyEdit struct {
	Key
	Op
}

// Torrent says whether a torrent is served.
func (r *Rules) Torrent(h *wire.InfoHash) Verdict {
	switch {
	case r == nil:
		return Served
	case listed(r.deny, &r.denyEdits, h):
		return DeniedTorrent
	case r.only && !listed(r.allow, &r.allowEdits, h):
		return UnlistedTorrent
	}
	return Served
}

// listed reports whether a hash is on a list: edits go before the file.
func listed(file *Hashes, edits *overlay[wire.InfoHash, Op], h *wire.InfoHash) bool {
	if !edits.empty() {
		if op, ok := edits.get(*h); ok {
			return op == Added
		}
	}
	return file.Has(h)
}

// Client says whether a client is served, wherever it claims to be.
func (r *Rules) Client(a netip.Addr) Verdict {
	if r != nil && r.clients != nil && r.clients.Contains(a.Unmap().WithZone("")) {
		return DeniedClient
	}
	return Served
}

// Private reports whether nobody is served without a passkey.
func (r *Rules) Private() bool { return r != nil && r.keys != nil }

// Passkey says whether who has that key is served now. An empty key is a missing one.
func (r *Rules) Passkey(now time.Time, key []byte) Verdict {
	switch {
	case !r.Private():
		return Served
	case len(key) == 0:
		return NoKey
	case len(key) < leastKey || len(key) > mostKey:
		return UnknownKey
	}
	k, verdict := r.Key(DigestOf(key))
	if verdict == Served && k.Until != 0 && now.Unix() >= k.Until {
		return ExpiredKey
	}
	return verdict
}

// Key returns what is known of a passkey, and whether it is good for as long as it says.
func (r *Rules) Key(d Digest) (Key, Verdict) {
	if !r.Private() {
		return Key{}, UnknownKey
	}
	if e, ok := r.keyEdits.get(d); ok {
		if e.Op == Removed {
			return e.Key, RevokedKey
		}
		return e.Key, Served
	}
	k, ok := r.keys.all[d]
	if !ok {
		return k, UnknownKey
	}
	return k, Served
}

// PathKey takes the passkey off a path: of /KEY/announce it returns KEY and /announce. A path without one is returned as it is.
func PathKey(path []byte) (key, rest []byte) {
	for i := 1; i < len(path) && i <= mostKey+1; i++ {
		if path[i] == '/' {
			return path[1:i], path[i:]
		}
	}
	return nil, path
}
