package wire

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
)

// MaxScrape is the most info hashes one HTTP scrape may ask for (BEP 48).
const MaxScrape = 100

// Query is an announce as its query string says it (BEP 3, 7, 21, 23, 52).
// What the query does not say has the value named at its field.
type Query struct {
	InfoHash InfoHash
	PeerID   [20]byte // zero: none given
	Port     uint16
	Left     uint64 // math.MaxUint64: none given, a leecher
	Event    Event
	NumWant  int        // -1: none given, or the client leaves it to the tracker
	Compact  bool       // false only for compact=0
	IP       netip.Addr // invalid: none given
}

// A ParamError says which parameter of a query is wrong; its text is what a
// client reads as the failure reason.
type ParamError struct {
	Param  string // the parameter's name
	Reason string // what is wrong with it
}

func (e *ParamError) Error() string { return fmt.Sprintf("%s: %s", e.Param, e.Reason) }

// param is a parameter that the tracker reads; all others are skipped.
type param uint8

const (
	paramOther param = iota
	paramInfoHash
	paramPeerID
	paramPort
	paramLeft
	paramEvent
	paramNumWant
	paramCompact
	paramIP
)

var paramNames = [...]string{
	paramInfoHash: "info_hash",
	paramPeerID:   "peer_id",
	paramPort:     "port",
	paramLeft:     "left",
	paramEvent:    "event",
	paramNumWant:  "numwant",
	paramCompact:  "compact",
	paramIP:       "ip",
}

// maxValue bounds the value of a parameter that is read, unescaped: the
// longest that means anything is an IPv6 address written with an IPv4 one, 45 bytes.
const maxValue = 64

// Parse reads the query string of an announce, the part after the question
// mark. Escapes and plus signs mean what they do to net/url, but a semicolon is
// an ordinary byte and a parameter that is not read may hold anything. An info
// hash and a port must be there, and none that is read may be there twice. On a
// [*ParamError], the only error there is, q is left as it was. Only the text
// of an ip parameter, and an error, is allocated.
func (q *Query) Parse(query []byte) error {
	p := Query{Left: math.MaxUint64, NumWant: -1, Compact: true}
	var seen uint16
	var value [maxValue]byte
	for len(query) > 0 {
		var which param
		if which, query = cutParam(query); which == paramOther {
			query = skipValue(query)
			continue
		}
		var n int
		var reason string
		n, query, reason = unescape(&value, query)
		if reason == "" && seen&(1<<which) != 0 {
			reason = "given twice"
		}
		if reason == "" {
			seen |= 1 << which
			reason = p.set(which, value[:n])
		}
		if reason != "" {
			return &ParamError{paramNames[which], reason}
		}
	}
	for _, which := range [...]param{paramInfoHash, paramPort} {
		if seen&(1<<which) == 0 {
			return &ParamError{paramNames[which], "missing"}
		}
	}
	*q = p
	return nil
}

// ParseScrape appends the info hashes that the query string of a scrape asks
// for, in its order, doubles and all, to dst. None is no error: it is the
// request for everything. More than [MaxScrape] are an error, as is one that is none.
func ParseScrape(query []byte, dst []InfoHash) ([]InfoHash, error) {
	var value [maxValue]byte
	var q Query
	for found := 0; len(query) > 0; {
		var which param
		if which, query = cutParam(query); which != paramInfoHash {
			query = skipValue(query)
			continue
		}
		var n int
		var reason string
		n, query, reason = unescape(&value, query)
		if reason == "" {
			reason = q.set(paramInfoHash, value[:n])
		}
		if found++; found > MaxScrape {
			reason = fmt.Sprintf("more than %d given", MaxScrape)
		}
		if reason != "" {
			return dst, &ParamError{paramNames[paramInfoHash], reason}
		}
		dst = append(dst, q.InfoHash)
	}
	return dst, nil
}

// NamesTorrent reports whether the query of a scrape has an info hash, right or wrong: without one it asks for all torrents.
func NamesTorrent(query []byte) bool {
	for len(query) > 0 {
		var which param
		if which, query = cutParam(query); which == paramInfoHash {
			return true
		}
		query = skipValue(query)
	}
	return false
}

// set stores the unescaped value of a parameter. It returns what is wrong with it, nothing when it is right.
func (q *Query) set(which param, value []byte) (reason string) {
	ok := true
	switch which {
	case paramInfoHash:
		if len(value) != 20 && len(value) != 32 {
			return "neither 20 nor 32 bytes long"
		}
		q.InfoHash = InfoHash(value)
	case paramPeerID:
		if len(value) != len(q.PeerID) {
			return "not 20 bytes long"
		}
		q.PeerID = [20]byte(value)
	case paramPort:
		port, digits := parseUint(value)
		if !digits || port == 0 || port > math.MaxUint16 {
			return "not a number from 1 to 65535"
		}
		q.Port = uint16(port)
	case paramLeft:
		if q.Left, ok = parseUint(value); !ok {
			return "not a number of 64 bits"
		}
	case paramEvent:
		if q.Event, ok = ParseEvent(value); !ok {
			return "unknown"
		}
	case paramNumWant:
		if q.NumWant, ok = parseNumWant(value); !ok {
			return "not a number"
		}
	case paramCompact:
		q.Compact = string(value) != "0"
	case paramIP:
		ip, err := netip.ParseAddr(string(value))
		if err != nil || ip.Zone() != "" {
			return "not an IP address"
		}
		q.IP = ip.Unmap()
	}
	return ""
}

// parseNumWant reads a number of peers. Whatever is negative leaves it to the
// tracker and is -1; more than any tracker answers may be cut.
func parseNumWant(b []byte) (n int, ok bool) {
	digits, negative := bytes.CutPrefix(b, []byte("-"))
	v, ok := parseUint(digits)
	if negative {
		return -1, ok
	}
	return int(min(v, math.MaxInt32)), ok
}

// parseUint reads decimal digits, at least one and nothing else, of a number below 2^64.
func parseUint(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > math.MaxUint64/10 || v*10 > math.MaxUint64-d {
			return 0, false
		}
		v = v*10 + d
	}
	return v, len(b) > 0
}

// cutParam returns which parameter a query begins with, and what follows its
// name and equals sign: its value, to be read by [unescape] or [skipValue].
// Names have no need of escapes, but may have some.
func cutParam(query []byte) (which param, rest []byte) {
	end, escaped := len(query), false
	for i, c := range query {
		if c > '=' { // letters, the most of a name, at the price of one comparison
			continue
		}
		if c == '=' || c == '&' {
			end = i
			break
		}
		escaped = escaped || c == '%'
	}
	name, rest := query[:end], query[end:]
	if len(rest) > 0 && rest[0] == '=' {
		rest = rest[1:]
	}
	if escaped {
		return escapedParam(name), rest
	}
	return paramNamed(name), rest
}

// skipValue returns what follows the value that b begins with.
func skipValue(b []byte) (rest []byte) {
	for i, c := range b {
		if c == '&' {
			return b[i+1:]
		}
	}
	return nil
}

func escapedParam(name []byte) param {
	var plain [maxValue]byte
	n, _, reason := unescape(&plain, name)
	if reason != "" {
		return paramOther
	}
	return paramNamed(plain[:n])
}

func paramNamed(name []byte) param {
	switch string(name) {
	case "info_hash":
		return paramInfoHash
	case "peer_id":
		return paramPeerID
	case "port":
		return paramPort
	case "left":
		return paramLeft
	case "event":
		return paramEvent
	case "numwant":
		return paramNumWant
	case "compact":
		return paramCompact
	case "ip":
		return paramIP
	}
	return paramOther
}

// unescape writes the value that b begins with to dst, without its escapes,
// and returns how many bytes that are and what follows it, or what is wrong.
func unescape(dst *[maxValue]byte, b []byte) (n int, rest []byte, reason string) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c > '+': // letters and digits, at the price of one comparison
		case c == '&':
			return n, b[i+1:], ""
		case c == '%':
			if len(b)-i < 3 {
				return 0, nil, "cut percent escape"
			}
			hi, lo := unhex[b[i+1]], unhex[b[i+2]]
			if hi|lo > 0xf {
				return 0, nil, "bad percent escape"
			}
			c = hi<<4 | lo
			i += 2
		case c == '+':
			c = ' '
		}
		if n >= len(dst) {
			return 0, nil, "too long"
		}
		dst[n] = c
		n++
	}
	return n, nil, ""
}

// unhex has the value of each hexadecimal digit, 0xff for every other byte.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range 16 {
		t["0123456789abcdef"[i]], t["0123456789ABCDEF"[i]] = byte(i), byte(i)
	}
	return t
}()
