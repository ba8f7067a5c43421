package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

// trait is a part of a generated request, and what becomes of a request that has it: one is taken by a server that takes all its traits.
type trait struct {
	text         string
	ours, theirs bool   // whether this package, and net/http's server, take it
	why          string // they do not agree
}

func both(texts ...string) (list []trait) {
	for _, text := range texts {
		list = append(list, trait{text, true, true, ""})
	}
	return list
}

func neither(texts ...string) (list []trait) {
	for _, text := range texts {
		list = append(list, trait{text, false, false, ""})
	}
	return list
}

// stricter are parts that only net/http takes.
func stricter(why string, texts ...string) (list []trait) {
	for _, text := range texts {
		list = append(list, trait{text, false, true, why})
	}
	return list
}

// milder are parts that only this package takes.
func milder(why string, texts ...string) (list []trait) {
	for _, text := range texts {
		list = append(list, trait{text, true, false, why})
	}
	return list
}

// The parts of a request. Each difference from net/http stands here, with its reason; where there is none, both agree.
var (
	traitStarts = slices.Concat(both(""), milder("RFC 9112, 2.2: a server should ignore an empty line before a request", "\r\n"), neither("\r\n\r\n", " ", "\n \n"))

	traitMethods = slices.Concat(both("GET", "HEAD"), neither("", "G\x00ET", "GET\t", "GE,T"),
		stricter("a tracker has nothing for other methods: 405", "POST", "OPTIONS", "get", "DELETE", "X-Y"))

	traitTargets = slices.Concat(
		both("/", "/announce", "/announce?info_hash=%00%ff&port=1", "/announce?", "/a?b?c", "//x", "/a/../b", "/%41?%zz", "/\xff?\xfe", "/a#b?c#d",
			"http://other/announce?x=1", "HTTP://other:80/announce", "http://other", "http://other?x", "/scrape?info_hash=a&info_hash=b"),
		neither("announce", "?x", "", "/a b", "/a\x01", "/a\x7f", ":/x"),
		stricter("a URL without a host", "http://", "http:///x"),
		stricter("other URLs than http: mean no tracker here", "https://other/announce", "ftp://other/"),
		stricter("a target that is no path", "*"),
		milder("the path is compared as it was sent and never unescaped", "/%zz", "/%", "/announce%4"))

	traitVersions = slices.Concat(both("HTTP/1.1", "HTTP/1.0", "HTTP/1.9"), neither("HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "HTTP/1", "http/1.1", "HTTP/a.b", "HTTP/1.1 ", ""))

	// Of these a request may have any number, each once.
	traitHeaders = slices.Concat(
		both("Connection: close", "Connection: keep-alive", "Connection: TE, Close", "connection:keep-alive,x", "Connection:", "Keep-Alive: 5",
			"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 10.0.0.1", "x-forwarded-for:\t2001:db8::1 ", "X-FORWARDED-FOR:", "X-Forwarded-For: a",
			"X-Forwarded-For: unknown, \"b\"", "User-Agent: x", "A: \x80\xff", "A: \t", "!#$%&'*+-.^_`|~09: x", "Content-Length: 0", "Accept: "+strings.Repeat("x", 2000)),
		neither("no colon", ": x", "a b: x", "a : x", "a: \x01", "a: \x00", "a: \x7f", "a\x80: x", "a(: x", "Content-Length: x", "Content-Length: -1", "Content-Length: +1",
			"Content-Length:"),
		stricter("no request of a tracker's client has a body: 413", "Content-Length: 5"),
		stricter("and none is sent in pieces: 400", "Transfer-Encoding: chunked"),
		stricter("repeating the length is a way to smuggle requests past proxies", "Content-Length: 0\r\nContent-Length: 0"),
		stricter("RFC 9112, 5.2: a server must refuse a folded line or mend it", "a: b\r\n c", "a: b\r\n\tc"),
		stricter("RFC 9112, 2.2: a bare LF may be taken for the end of a line; proxies that do not would see other requests", "a: b\nc: d"),
		neither("a: b\rc"),
		stricter("a head is 8 KiB at most: 431", "A: "+strings.Repeat("x", wire.MaxHead)))
)

// generated is a request, with what is to become of it.
type generated struct {
	text         string
	ours, theirs bool
	whys         []string
}

// add adds a part, or one of a list.
func (g *generated) add(t trait) {
	g.text += t.text
	g.ours, g.theirs = g.ours && t.ours, g.theirs && t.theirs
	if t.why != "" {
		g.whys = append(g.whys, t.why)
	}
}

// pick returns one of a list: half of the time one of the two first, which are good, for else no request would be.
func pick(r *rand.Rand, list []trait) trait {
	if r.IntN(4) > 0 {
		return list[r.IntN(min(len(list), 2))]
	}
	return list[r.IntN(len(list))]
}

func generate(r *rand.Rand) *generated {
	g := &generated{ours: true, theirs: true}
	start := trait{ours: true, theirs: true}
	if r.IntN(20) == 0 {
		start = traitStarts[r.IntN(len(traitStarts))]
	}
	g.add(start)
	g.add(pick(r, traitMethods))
	g.text += " "
	g.add(traitTargets[r.IntN(len(traitTargets))])
	g.text += " "
	version := pick(r, traitVersions)
	g.add(version)
	g.text += "\r\n"
	g.add(hostLines(r, version.text))
	lengths := 0
	for _, i := range r.Perm(len(traitHeaders))[:r.IntN(6)] {
		h := traitHeaders[i]
		if r.IntN(3) > 0 && h.ours != h.theirs {
			continue
		}
		if body := strings.HasPrefix(h.text, "Content-Length") || strings.HasPrefix(h.text, "Transfer"); body {
			if lengths++; lengths > 1 {
				continue // what two of them mean together is a table of its own
			}
		}
		g.add(h)
		g.text += "\r\n"
	}
	g.text += "\r\n"
	return g
}

// hostLines returns the Host header of a request, good ones mostly.
func hostLines(r *rand.Rand, version string) trait {
	if r.IntN(4) > 0 {
		return trait{"Host: tracker.example:6969\r\n", true, true, ""}
	}
	old := version == "HTTP/1.0"
	list := slices.Concat(both("Host: [::1]:80\r\n", "hOST:\tx \r\n", "Host:\r\n"), neither("Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: \xff\r\n"))
	return append(list, trait{"", old, old, ""})[r.IntN(len(list)+1)]
}

// TestConformance gives 10,000 requests, good, odd and broken ones, to this package and to net/http's server, and compares what they
// understood: whether it is a request, its method, target, query, host and X-Forwarded-For, and whether the connection stays.
func TestConformance(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	server := newReference(t)
	taken, reasons := 0, make(map[string]bool)
	for i := range uint64(10_000) {
		g := generate(rand.New(rand.NewPCG(seed, i)))
		got, _, err := wire.ParseRequest([]byte(g.text + "hello"))
		want := server.serve(g.text + "hello")
		if (err == nil) != g.ours || (want.request != nil) != g.theirs {
			t.Fatalf("seed %d, %d: %.300q\nis taken here %v, want %v (%v)\nand by net/http %v, want %v (%.30q)", seed, i, g.text, err == nil, g.ours, err, want.request != nil, g.theirs, want.answer)
		}
		for _, why := range g.whys {
			reasons[why] = true
		}
		if err == nil && want.request != nil {
			taken++
			checkRequest(t, []byte(g.text), got, want.request)
			// Of an old client net/http reads the first Connection header only, and believes keep-alive where both are said; RFC 9110, 5.3 has them be one
			// list, and RFC 9112, 9.3 believes close.
			several := got.HTTP10 && strings.Count(strings.ToLower(g.text), "\nconnection:") > 1
			if want.stays == got.Close && !several {
				t.Fatalf("seed %d, %d: %q\nends the connection: %v, with net/http %q", seed, i, g.text, got.Close, want.answer)
			}
		}
	}
	if taken < 500 || len(reasons) != 12 {
		t.Errorf("seed %d: %d were taken by both, %d reasons to differ: %v", seed, taken, len(reasons), reasons)
	}
}

// reference is net/http's server, which notes what it is asked.
type reference struct {
	conns chan net.Conn
	done  chan understood
}

// understood is what became of a request: nil when it was refused.
type understood struct {
	request *http.Request
	answer  string
	stays   bool
}

func newReference(t *testing.T) *reference {
	s := &reference{conns: make(chan net.Conn), done: make(chan understood)}
	server := &http.Server{
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: func(net.Conn, http.ConnState) {},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(http.LocalAddrContextKey).(*textConn).request = r
			fmt.Fprint(w, "ok")
		}),
		DisableGeneralOptionsHandler: true,
	}
	go server.Serve(s)
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *reference) serve(text string) understood {
	s.conns <- &textConn{in: strings.NewReader(text), done: s.done}
	return <-s.done
}

func (s *reference) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *reference) Close() error {
	close(s.conns)
	return nil
}

func (s *reference) Addr() net.Addr { return &net.TCPAddr{} }

// textConn is a connection on which all there is to read is there, and which is its own address, so that the handler finds it.
type textConn struct {
	in      *strings.Reader
	out     bytes.Buffer
	request *http.Request
	done    chan understood
	closed  bool
}

func (c *textConn) Read(b []byte) (int, error)         { return c.in.Read(b) }
func (c *textConn) Write(b []byte) (int, error)        { return c.out.Write(b) }
func (c *textConn) LocalAddr() net.Addr                { return c }
func (c *textConn) RemoteAddr() net.Addr               { return c }
func (c *textConn) Network() string                    { return "text" }
func (c *textConn) String() string                     { return "text" }
func (c *textConn) SetDeadline(time.Time) error        { return nil }
func (c *textConn) SetReadDeadline(t time.Time) error  { return nil }
func (c *textConn) SetWriteDeadline(t time.Time) error { return nil }

// Close tells what became of the request. The first answer counts: what follows the request is none.
func (c *textConn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	answer, _, _ := strings.Cut(c.out.String(), "\r\n\r\n")
	u := understood{request: c.request, answer: answer}
	if c.request != nil {
		u.stays = !strings.Contains(answer, "Connection: close") && (c.request.ProtoAtLeast(1, 1) || strings.Contains(answer, "Connection: keep-alive"))
	}
	c.done <- u
	return nil
}
