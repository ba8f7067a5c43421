package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxHead is the longest head of a request that is read, in bytes: a scrape of [MaxScrape] info hashes fits.
const MaxHead = 8 << 10

// Request is the head of an HTTP/1.0 or 1.1 request for GET or HEAD. It
// points into the bytes it was read from; nothing in it is unescaped.
type Request struct {
	Method         []byte // GET or HEAD
	Path           []byte // from the first slash to the question mark
	Query          []byte // what follows the question mark; nil: there is none
	Host           []byte // of an absolute target, else of the Host header
	ForwardedFor   ForwardedFor
	AcceptEncoding []byte // the last Accept-Encoding header
	HTTP10         bool   // a connection that stays open must be told so
	Close          bool   // the connection ends with the answer
}

// ForwardedFor holds the last X-Forwarded-For lines of a request, in their order and at the end: together they
// are one list, whose last element is what the nearest proxy says. The lines that are not there are empty. More of them than
// this come from no chain of proxies, and what anybody may have written stands first.
type ForwardedFor [4][]byte

// ErrIncomplete says that the head is good as far as it is there: read on.
var ErrIncomplete = errors.New("http: the head is not complete")

// A RequestError is a request that is refused and after which the connection must end.
type RequestError struct {
	Status int // 400, 405, 413, 431 or 505
	Reason string
}

func (e *RequestError) Error() string { return fmt.Sprintf("http: %d, %s", e.Status, e.Reason) }

// Why a request is refused. No text says more, so none is allocated.
var (
	errRequestLine = &RequestError{400, "damaged request line"}
	errTarget      = &RequestError{400, "damaged request target"}
	errLine        = &RequestError{400, "line that does not end in CR LF, or with a control character"}
	errFold        = &RequestError{400, "folded header line"}
	errHeader      = &RequestError{400, "damaged header name"}
	errHost        = &RequestError{400, "no Host header, two or a damaged one"}
	errLength      = &RequestError{400, "damaged or repeated Content-Length"}
	errEncoding    = &RequestError{400, "Transfer-Encoding without a body to send"}
	errMethod      = &RequestError{405, "method is neither GET nor HEAD"}
	errBody        = &RequestError{413, "request with a body"}
	errHead        = &RequestError{431, "head longer than 8 KiB"}
	errVersion     = &RequestError{505, "not HTTP/1"}
)

// ParseRequest reads the head of the request that b begins with and returns how
// many bytes it takes. It fails with [ErrIncomplete] when b ends before the head
// does, else with a [*RequestError] as soon as a whole line is wrong. One empty line
// before the request is skipped (RFC 9112, 2.2).
func ParseRequest(b []byte) (r Request, n int, err error) {
	h := head{rest: b[:min(len(b), MaxHead)]}
	h.rest = bytes.TrimPrefix(h.rest, []byte("\r\n"))
	if err := h.parse(); err != nil {
		if err == ErrIncomplete && len(b) >= MaxHead {
			err = errHead
		}
		return Request{}, 0, err
	}
	return h.Request, min(len(b), MaxHead) - len(h.rest), nil
}

// head is a request being read.
type head struct {
	Request
	rest      []byte // what was not read yet
	absolute  bool   // the target named the host
	hosts     int    // Host headers
	length    bool   // a Content-Length was there
	keepAlive bool   // Connection: keep-alive was there
}

func (h *head) parse() error {
	// What is no HTTP at all, such as a TLS handshake, may never send a line.
	if len(h.rest) > 0 && !isToken[h.rest[0]] && h.rest[0] != '\r' {
		return errRequestLine
	}
	line, err := h.line()
	if err != nil {
		return err
	}
	if err := h.requestLine(line); err != nil {
		return err
	}
	for {
		line, err := h.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return h.finish()
		}
		if err := h.header(line); err != nil {
			return err
		}
	}
}

// line returns the next line without its CR LF. A line with a control character other than a tab is refused.
func (h *head) line() ([]byte, error) {
	end := bytes.IndexByte(h.rest, '\n')
	if end < 0 {
		return nil, ErrIncomplete
	}
	if end == 0 || h.rest[end-1] != '\r' {
		return nil, errLine
	}
	line := h.rest[:end-1]
	if hasControl(line) {
		return nil, errLine
	}
	h.rest = h.rest[end+1:]
	return line, nil
}

// hasControl reports whether a line has a control character other than a tab. It looks at eight bytes at once, since it looks at
// every byte of a request, and at single ones only where those eight have any, be it a tab.
func hasControl(line []byte) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(line) >= 8; line = line[8:] {
		word := binary.LittleEndian.Uint64(line)
		del := word ^ 0x7f*each
		if ((word-' '*each)&^word|(del-each)&^del)&high != 0 && anyControl(line[:8]) {
			return true
		}
	}
	return anyControl(line)
}

func anyControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// requestLine reads "GET /announce?x HTTP/1.1", single spaces between the three.
func (h *head) requestLine(line []byte) error {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || !allOf(&isToken, method) {
		return errRequestLine
	}
	if err := h.version(version); err != nil {
		return err
	}
	if string(method) != "GET" && string(method) != "HEAD" {
		return errMethod
	}
	h.Method = method
	return h.target(target)
}

func (h *head) version(v []byte) error {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	if len(v) != len("HTTP/1.1") || string(v[:5]) != "HTTP/" || !digit(v[5]) || v[6] != '.' || !digit(v[7]) {
		return errRequestLine
	}
	if v[5] != '1' {
		return errVersion
	}
	h.HTTP10 = v[7] == '0'
	return nil
}

// target reads a path and query, or a whole URL (RFC 9112, 3.2.2) whose host then counts.
func (h *head) target(t []byte) error {
	const scheme = "http://"
	if len(t) >= len(scheme) && bytes.EqualFold(t[:len(scheme)], []byte(scheme)) {
		t = t[len(scheme):]
		end := bytes.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		h.Host, h.absolute, t = t[:end], true, t[end:]
		if len(h.Host) == 0 || !allOf(&isHost, h.Host) {
			return errTarget
		}
	} else if len(t) == 0 || t[0] != '/' {
		return errTarget
	}
	if bytes.IndexByte(t, '\t') >= 0 {
		return errTarget
	}
	h.Path = t
	if end := bytes.IndexByte(t, '?'); end >= 0 {
		h.Path, h.Query = t[:end], t[end+1:]
	}
	return nil
}

func (h *head) header(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' {
		return errFold
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || !allOf(&isToken, name) {
		return errHeader
	}
	value = bytes.Trim(value, " \t")
	switch {
	case is(name, "host"):
		if h.hosts++; h.hosts > 1 || !allOf(&isHost, value) {
			return errHost
		}
		if !h.absolute {
			h.Host = value
		}
	case is(name, "connection"):
		h.connection(value)
	case is(name, "content-length"):
		n, ok := parseUint(value)
		if !ok || h.length {
			return errLength
		}
		if n != 0 {
			return errBody
		}
		h.length = true
	case is(name, "transfer-encoding"):
		return errEncoding
	case is(name, "accept-encoding"):
		h.AcceptEncoding = value
	case is(name, "x-forwarded-for"):
		copy(h.ForwardedFor[:], h.ForwardedFor[1:])
		h.ForwardedFor[len(h.ForwardedFor)-1] = value
	}
	return nil
}

// connection reads one Connection header, a list of which two words matter here.
func (h *head) connection(list []byte) {
	for len(list) > 0 {
		var word []byte
		word, list, _ = bytes.Cut(list, []byte(","))
		word = bytes.Trim(word, " \t")
		h.Close = h.Close || is(word, "close")
		h.keepAlive = h.keepAlive || is(word, "keep-alive")
	}
}

// finish judges what only the whole head shows.
func (h *head) finish() error {
	if h.hosts == 0 && !h.HTTP10 {
		return errHost
	}
	h.Close = h.Close || h.HTTP10 && !h.keepAlive
	return nil
}

// is reports whether b is the word, which is in lower case, in any case.
func is(b []byte, word string) bool {
	return len(b) == len(word) && bytes.EqualFold(b, []byte(word))
}

// allOf reports whether b has only bytes of a set.
func allOf(set *[256]bool, b []byte) bool {
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return true
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	// isToken has the bytes of methods and header names (RFC 9110, 5.6.2).
	isToken = byteSet(alphanumeric + "!#$%&'*+-.^_`|~")
	// isHost has the bytes of a host with port (RFC 3986, 3.2.2 and 3.2.3).
	isHost = byteSet(alphanumeric + "-._~!$&'()*+,;=:[]%")
)

func byteSet(members string) (set [256]bool) {
	for _, c := range []byte(members) {
		set[c] = true
	}
	return set
}
