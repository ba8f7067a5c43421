package wire_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"starling/wire"
)

// firefox is a request with the headers of a browser, which sends more than any client.
const firefox = "GET /announce?" + qBittorrent + " HTTP/1.1\r\nHost: tracker.example:6969\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nConnection: keep-alive\r\n\r\n"

// show writes all that a request says, to compare and to print it.
func show(r wire.Request) string {
	return fmt.Sprintf("%q %q, query %t %q, host %q, forwarded %q, HTTP/1.0 %t, close %t",
		r.Method, r.Path, r.Query != nil, r.Query, r.Host, r.ForwardedFor, r.HTTP10, r.Close)
}

func get(path, host string) wire.Request {
	return wire.Request{Method: []byte("GET"), Path: []byte(path), Host: []byte(host)}
}

func TestParseRequest(t *testing.T) {
	with := func(change func(*wire.Request)) wire.Request {
		r := get("/", "h")
		change(&r)
		return r
	}
	closing := with(func(r *wire.Request) { r.Close = true })
	forwarded := func(lines ...string) wire.Request {
		return with(func(r *wire.Request) {
			for i, line := range lines {
				r.ForwardedFor[len(r.ForwardedFor)-len(lines)+i] = []byte(line)
			}
		})
	}
	for text, want := range map[string]wire.Request{
		firefox: {
			Method: []byte("GET"), Path: []byte("/announce"), Query: []byte(qBittorrent),
			Host: []byte("tracker.example:6969"), ForwardedFor: wire.ForwardedFor{3: []byte("192.0.2.1, 192.0.2.2")},
		},
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                                                get("/", "h"),
		"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n":                                            get("/", "h"),
		"GET / HTTP/1.1\r\nhOST:\t h \t\r\n\r\n":                                           get("/", "h"),
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                                  get("/", ""),
		"GET / HTTP/1.9\r\nHost: h\r\n\r\n":                                                get("/", "h"),
		"GET /? HTTP/1.1\r\nHost: h\r\n\r\n":                                               with(func(r *wire.Request) { r.Query = []byte{} }),
		"GET /%zz?a?b#\xff HTTP/1.1\r\nHost: h\r\n\r\n":                                    {Method: []byte("GET"), Path: []byte("/%zz"), Query: []byte("a?b#\xff"), Host: []byte("h")},
		"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n":                                               with(func(r *wire.Request) { r.Method = []byte("HEAD") }),
		"GET http://t.example/a?b HTTP/1.1\r\nHost: h\r\n\r\n":                             {Method: []byte("GET"), Path: []byte("/a"), Query: []byte("b"), Host: []byte("t.example")},
		"GET HTTP://t.example HTTP/1.1\r\nHost: h\r\n\r\n":                                 get("", "t.example"),
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 00\r\n\r\n":                          get("/", "h"),
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                           closing,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE , Close\r\nConnection: x\r\n\r\n":     closing,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed, enclose\r\n\r\n":                 get("/", "h"),
		"GET / HTTP/1.0\r\n\r\n":                                                           {Method: []byte("GET"), Path: []byte("/"), HTTP10: true, Close: true},
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                                 {Method: []byte("GET"), Path: []byte("/"), HTTP10: true},
		"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n":                          {Method: []byte("GET"), Path: []byte("/"), HTTP10: true, Close: true},
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1\r\nx-forwarded-for: 2, 3\r\n\r\n": forwarded("1", "2, 3"),
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1\r\nX-Forwarded-For:\r\n\r\n":      forwarded("1", ""),
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-Forwarded-For: a\r\n", 3) + strings.Repeat("X-Forwarded-For: b\r\n", 4) + "\r\n": forwarded("b", "b", "b", "b"),
		"GET / HTTP/1.1\r\nHost: h\r\nX: \x80\xff\ta\r\n\r\n":                                                                                get("/", "h"),
	} {
		got, n, err := wire.ParseRequest([]byte(text + "GET /next"))
		if err != nil || n != len(text) || show(got) != show(want) {
			t.Errorf("%q\nis %s, %d bytes, %v\nwant %s, %d bytes", text, show(got), n, err, show(want), len(text))
		}
	}
}

func TestParseRequestRefused(t *testing.T) {
	const host = "Host: h\r\n\r\n"
	for text, want := range map[string]int{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":                 400, // a TLS handshake, without any line
		"GET / HTTP/1.1\nHost: h\n\n":                                  400,
		"GET / HTTP/1.1\r\nHost: h\n":                                  400,
		"\n":                                                           400,
		"\r\n\r\nGET / HTTP/1.1\r\n" + host:                            400,
		"GET /\r\n":                                                    400,
		"GET  / HTTP/1.1\r\n":                                          400,
		"GET / HTTP/1.1 \r\n":                                          400,
		"GET / HTTP/1.1 x\r\n":                                         400,
		" GET / HTTP/1.1\r\n":                                          400,
		"GET / http/1.1\r\n":                                           400,
		"GET / HTTP/11\r\n":                                            400,
		"GET / HTTP/1.\r\n":                                            400,
		"GET announce HTTP/1.1\r\n":                                    400,
		"GET * HTTP/1.1\r\n":                                           400,
		"GET http:///announce HTTP/1.1\r\n":                            400,
		"GET http://a\tb/ HTTP/1.1\r\n":                                400,
		"GET http://a@b\"/ HTTP/1.1\r\n":                               400,
		"GET ftp://h/ HTTP/1.1\r\n":                                    400,
		"GET /\x00 HTTP/1.1\r\n":                                       400,
		"GET /\x7f HTTP/1.1\r\n":                                       400,
		"GET /\ta HTTP/1.1\r\n":                                        400,
		"G(T / HTTP/1.1\r\n":                                           400,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                             505,
		"GET / HTTP/2.0\r\n":                                           505,
		"GET / HTTP/0.9\r\n":                                           505,
		"POST / HTTP/1.1\r\n":                                          405,
		"get / HTTP/1.1\r\n":                                           405,
		"CONNECT h:80 HTTP/1.1\r\n":                                    405,
		"GET / HTTP/1.1\r\n\r\n":                                       400,
		"GET http://h/ HTTP/1.1\r\n\r\n":                               400,
		"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n":                     400,
		"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n":                     400,
		"GET / HTTP/1.1\r\nHost: a b\r\n":                              400,
		"GET / HTTP/1.1\r\nHost: a/b\r\n":                              400,
		"GET / HTTP/1.1\r\n Host: h\r\n":                               400,
		"GET / HTTP/1.1\r\nX: a\r\n\tb\r\n" + host:                     400,
		"GET / HTTP/1.1\r\nHost : h\r\n":                               400,
		"GET / HTTP/1.1\r\nHost\r\n":                                   400,
		"GET / HTTP/1.1\r\n: h\r\n":                                    400,
		"GET / HTTP/1.1\r\nX\xff: h\r\n":                               400,
		"GET / HTTP/1.1\r\nX: a\rb\r\n":                                400,
		"GET / HTTP/1.1\r\nX: a\x00b\r\n":                              400,
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n":                      413,
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n":                     400,
		"GET / HTTP/1.1\r\nContent-Length: +0\r\n":                     400,
		"GET / HTTP/1.1\r\nContent-Length:\r\n":                        400,
		"GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n":                   400,
		"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n": 400,
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n":             400,
		"GET / HTTP/1.1\r\nTransfer-Encoding:\r\n":                     400,
		"GET /" + strings.Repeat("a", wire.MaxHead):                    431,
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("a", wire.MaxHead) + "\r\n" + host: 431,
	} {
		r, n, err := wire.ParseRequest([]byte(text))
		var refused *wire.RequestError
		if !errors.As(err, &refused) || refused.Status != want || n != 0 || show(r) != show(wire.Request{}) {
			t.Errorf("%.100q: %v, %d bytes, %s, want status %d", text, err, n, show(r), want)
		}
		if text := strconv.Itoa(want); err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %s", err, text)
		}
	}
}

// A head of exactly the limit is read, one byte more is refused; neither can be had by reading on.
func TestParseRequestLimit(t *testing.T) {
	head := func(length int) []byte {
		const before, after = "GET /", " HTTP/1.1\r\nHost: h\r\n\r\n"
		return []byte(before + strings.Repeat("a", length-len(before+after)) + after)
	}
	for _, length := range []int{wire.MaxHead - 1, wire.MaxHead} {
		if _, n, err := wire.ParseRequest(append(head(length), "GET /"...)); err != nil || n != length {
			t.Errorf("%d bytes: %d, %v", length, n, err)
		}
	}
	long := head(wire.MaxHead + 1)
	for n := range long {
		_, _, err := wire.ParseRequest(long[:n:n])
		var refused *wire.RequestError
		if n < wire.MaxHead && !errors.Is(err, wire.ErrIncomplete) || n >= wire.MaxHead && (!errors.As(err, &refused) || refused.Status != 431) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// A good head that is cut anywhere asks for more.
func TestParseRequestTruncated(t *testing.T) {
	for _, whole := range []string{firefox, "\r\nHEAD http://h/ HTTP/1.0\r\nHost: h\r\n\r\n"} {
		for n := range len(whole) {
			if _, eaten, err := wire.ParseRequest([]byte(whole[:n])); !errors.Is(err, wire.ErrIncomplete) || eaten != 0 {
				t.Fatalf("%q: %v", whole[:n], err)
			}
		}
	}
}

// Pipelined requests are read one after the other.
func TestParseRequestPipelined(t *testing.T) {
	rest := []byte(strings.Repeat(firefox, 5))
	for i := range 5 {
		r, n, err := wire.ParseRequest(rest)
		if err != nil || string(r.Path) != "/announce" {
			t.Fatalf("request %d: %s, %v", i, show(r), err)
		}
		rest = rest[n:]
	}
	if _, _, err := wire.ParseRequest(rest); len(rest) != 0 || !errors.Is(err, wire.ErrIncomplete) {
		t.Errorf("%d bytes left, %v", len(rest), err)
	}
}

// Neither a good head nor a bad one is read with an allocation.
func TestParseRequestAllocations(t *testing.T) {
	good, bad := []byte(firefox), []byte("POST / HTTP/1.1\r\n")
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := wire.ParseRequest(good); err != nil {
			t.Fatal(err)
		}
		if _, _, err := wire.ParseRequest(bad); err == nil {
			t.Fatal("POST is accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	head := []byte("GET /announce?" + qBittorrent + " HTTP/1.1\r\nHost: tracker.example:6969\r\nUser-Agent: qBittorrent/5.0.3\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := wire.ParseRequest(head); err != nil {
			b.Fatal(err)
		}
	}
}

// Control characters are found at every place of a line of every length, and nothing else is taken for one.
func TestControlCharacters(t *testing.T) {
	for length := range 40 {
		line := []byte("GET / HTTP/1.0\r\nName:" + strings.Repeat(" ", length) + "\r\n\r\n")
		value := line[len(line)-4-length:][:length]
		for place := range value {
			for c := range 256 {
				value[place] = byte(c)
				_, _, err := wire.ParseRequest(line)
				if bad := c < ' ' && c != '\t' || c == 0x7f; (err != nil) != bad {
					t.Fatalf("%q: %v", line, err)
				}
			}
			value[place] = "\t \x80\xff~"[place%5]
		}
	}
}
