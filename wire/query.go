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
		var name, raw []byte
		name, raw, query = cutParam(query)
		which := lookupParam(name)
		if which == paramOther {
			continue
		}
		reason := "given twice"
		if seen&(1<<which) == 0 {
			seen |= 1 << which
			var n int
			if n, reason = unescape(&value, raw); reason == "" {
				reason = p.set(which, value[:n])
			}
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
		var name, raw []byte
		name, raw, query = cutParam(query)
		if lookupParam(name) != paramInfoHash {
			continue
		}
		n, reason := unescape(&value, raw)
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
		if d > 9 || v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, len(b) > 0
}

// cutParam returns the first parameter of a query, still escaped, and what follows it.
func cutParam(query []byte) (name, value, rest []byte) {
	pair, rest, _ := bytes.Cut(query, []byte("&"))
	name, value, _ = bytes.Cut(pair, []byte("="))
	return name, value, rest
}

// lookupParam returns the parameter of a name as the query has it. Names have no need of escapes, but may have some.
func lookupParam(name []byte) param {
	if bytes.IndexByte(name, '%') >= 0 {
		var plain [maxValue]byte
		n, reason := unescape(&plain, name)
		if reason != "" {
			return paramOther
		}
		return paramNamed(plain[:n])
	}
	return paramNamed(name)
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

// unescape writes src without its escapes to dst and returns how many bytes that are, or what is wrong.
func unescape(dst *[maxValue]byte, src []byte) (n int, reason string) {
	for i := 0; i < len(src); i++ {
		if n == len(dst) {
			return 0, "too long"
		}
		c := src[i]
		switch c {
		case '%':
			if len(src)-i < 3 {
				return 0, "cut percent escape"
			}
			hi, lo := unhex[src[i+1]], unhex[src[i+2]]
			if hi|lo > 0xf {
				return 0, "bad percent escape"
			}
			c = hi<<4 | lo
			i += 2
		case '+':
			c = ' '
		}
		dst[n] = c
		n++
	}
	return n, ""
}

// unhex has the value of each hexadecimal digit, 0xff for every other byte.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c], t[bytes.ToUpper([]byte{c})[0]] = byte(i), byte(i)
	}
	return t
}()
