package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"starling/wire"
)

// What net/http accepts and this package refuses, or the other way round, has one of these reasons; all else must agree.
//
//   - net/http's reader, unlike its server, takes every method, body, version and Host, or none, a bare LF, a folded line,
//     a header name with a space in it, and repeats of Content-Length.
//   - It takes targets that are no path: an asterisk, and URLs of every scheme.
//   - It unescapes path and host, and refuses bad escapes there; this package leaves both as they are.
//   - It does not know of a limit, nor of the empty line before a request.
func FuzzParseRequest(f *testing.F) {
	for _, text := range []string{
		firefox, "\r\nHEAD / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET http://h:80/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: a, close\r\n\r\nGET / HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\n\r\n", "\x16\x03\x01",
		"GET / HTTP/1.0\r\nHost:a: 0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, err := wire.ParseRequest(b)
		if err != nil {
			checkRefusal(t, b, err)
			return
		}
		again, n2, err2 := wire.ParseRequest(b[:n:n])
		if err2 != nil || n2 != n || show(again) != show(got) {
			t.Fatalf("%q: without what follows it %v", b, err2)
		}
		plain := bytes.TrimPrefix(b, []byte("\r\n"))
		reader := bytes.NewReader(plain)
		buffered := bufio.NewReader(reader)
		want, err := http.ReadRequest(buffered)
		if err != nil {
			if _, ok := errors.AsType[*url.Error](err); !ok {
				t.Fatalf("%q is %s, to net/http %v", b, show(got), err)
			}
			return
		}
		if eaten := len(plain) - reader.Len() - buffered.Buffered() + len(b) - len(plain); eaten != n {
			t.Fatalf("%q: %d bytes, to net/http %d", b, n, eaten)
		}
		checkRequest(t, b, got, want)
	})
}

// checkRequest compares a request with what net/http reads.
func checkRequest(t *testing.T, b []byte, got wire.Request, want *http.Request) {
	t.Helper()
	target := string(got.Path)
	if got.Query != nil {
		target += "?" + string(got.Query)
	}
	forwarded := want.Header["X-Forwarded-For"]
	switch {
	case string(got.Method) != want.Method,
		!strings.HasSuffix(want.RequestURI, target),
		want.URL.RawQuery != string(got.Query),
		want.Close != got.Close,
		want.ProtoAtLeast(1, 1) == got.HTTP10,
		!sameLines(forwarded, got.ForwardedFor):
		t.Fatalf("%q\nis %s\nto net/http %+v", b, show(got), want)
	}
	// The host of a whole URL may have escapes in it, which net/http takes out.
	if host := string(got.Host); !strings.Contains(host, "%") && want.Host != host {
		t.Fatalf("%q: host %q, to net/http %q", b, host, want.Host)
	}
}

// sameLines reports whether got holds the last of some header lines, and nothing where there are none.
func sameLines(lines []string, got wire.ForwardedFor) bool {
	for i := range got {
		want := ""
		if k := len(lines) - len(got) + i; k >= 0 {
			want = strings.TrimRight(lines[k], " \t")
		}
		if string(got[i]) != want {
			return false
		}
	}
	return true
}

// checkRefusal accepts that net/http takes a head which is refused only for a documented reason.
func checkRefusal(t *testing.T, b []byte, err error) {
	t.Helper()
	var refused *wire.RequestError
	if !errors.As(err, &refused) && !errors.Is(err, wire.ErrIncomplete) {
		t.Fatalf("%q: %v", b, err)
	}
	request, netErr := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if netErr != nil {
		return
	}
	if refused == nil {
		t.Fatalf("%q is incomplete, to net/http %+v", b, request)
	}
	head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	bareLF := bytes.Count(b, []byte("\n")) != bytes.Count(b, []byte("\r\n"))
	switch {
	case refused.Status == 431 && len(head)+4 > wire.MaxHead:
	case refused.Status == 505 && request.ProtoMajor != 1:
	case refused.Status == 405 && request.Method != "GET" && request.Method != "HEAD":
	case refused.Status == 413 && request.ContentLength != 0:
	case refused.Status != 400:
		t.Fatalf("%q: %v, to net/http %+v", b, err, request)
	case bareLF, bytes.Contains(head, []byte("\r\n ")), bytes.Contains(head, []byte("\r\n\t")):
	case !documented400(request, head):
		t.Fatalf("%q: %v, to net/http %+v", b, err, request)
	}
}

// documented400 reports whether a request that net/http reads is one that is refused here with status 400.
func documented400(r *http.Request, head []byte) bool {
	for name := range r.Header {
		if strings.Contains(name, " ") {
			return true
		}
	}
	const hostBytes = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+,;=:[]%"
	lower := bytes.ToLower(head)
	return r.Host == "" && r.ProtoAtLeast(1, 1) || strings.Trim(r.Host, hostBytes) != "" ||
		bytes.Contains(lower, []byte("\r\ntransfer-encoding:")) || bytes.Contains(lower, []byte("\r\ncontent-length:")) ||
		!strings.HasPrefix(r.RequestURI, "/")
}
