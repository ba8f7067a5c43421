package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// libraryAnswer is an answer as the bencode library reads it.
type libraryAnswer struct {
	Failure  *string `bencode:"failure reason"`
	Interval uint64  `bencode:"interval"`
	Seeders  uint64  `bencode:"complete"`
	Leechers uint64  `bencode:"incomplete"`
	Peers4   []byte  `bencode:"peers"`
	Peers6   []byte  `bencode:"peers6"`
}

func TestParseAnswerReadsWhatTheLibraryWrites(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		want := answer{
			interval: r.Uint64N(1e18), seeders: r.Uint64N(1e9), leechers: r.Uint64N(10),
			peers4: make([]byte, 6*r.IntN(5)), peers6: make([]byte, 18*r.IntN(5)),
		}
		body := bencode.MustMarshal(map[string]any{
			"interval": want.interval, "complete": want.seeders, "incomplete": want.leechers, "peers": want.peers4, "peers6": want.peers6,
			"aaa": []any{1, "x", map[string]any{"y": []any{}}}, "zzz": map[string]any{},
		})
		var got answer
		if _, err := parseAnswer(body, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d, %q: %v, %v; want %v", seed, body, got, err, want)
		}
		for n := range body {
			if _, err := parseAnswer(body[:n], &got); err != errBencode {
				t.Fatalf("%q: %v", body[:n], err)
			}
		}
	}
}

func TestParseAnswerRefusals(t *testing.T) {
	var a answer
	failure, err := parseAnswer([]byte("d14:failure reason4:gonee"), &a)
	if string(failure) != "gone" || err != errRefused {
		t.Errorf("%q, %v", failure, err)
	}
	for _, bad := range []string{
		"", "d", "e", "de!", "i1e", "le", "d1:ae", "d1:ai1e", "di1ei1ee", "d8:intervali-1ee", "d8:intervalie", "d8:interval1:1e",
		"d8:intervali1234567890123456789ee", "d5:peers5:12345e", "d5:peersle", "d6:peers66:123456e", "d14:failure reasoni1ee",
		"d1:a9999999999999999999:e", "d1:a:e", "d1:aee", "d1:a" + strings.Repeat("l", 17) + strings.Repeat("e", 18),
	} {
		if _, err := parseAnswer([]byte(bad), &a); err != errBencode {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Where the library reads an answer, too, both read the same.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("d8:completei3e10:incompletei4e8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe1e"))
	f.Add([]byte("d14:failure reason4:gonee"))
	f.Add([]byte("d1:al1:bd1:ci4eee8:intervali1e6:peers60:e"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var got answer
		failure, err := parseAnswer(body, &got)
		var want libraryAnswer
		if err == errBencode || bencode.Unmarshal(body, &want) != nil {
			return
		}
		if err == errRefused {
			// What stands behind the failure reason is not looked at, a second one included.
			if want.Failure == nil || len(failure) != len(*want.Failure) && bytes.Count(body, []byte("14:failure reason")) < 2 {
				t.Fatalf("%q: refused with %q, %v", body, failure, want)
			}
			return
		}
		if got.interval != want.Interval || got.seeders != want.Seeders || got.leechers != want.Leechers ||
			!bytes.Equal(got.peers4, want.Peers4) || !bytes.Equal(got.peers6, want.Peers6) {
			t.Fatalf("%q: %v, want %v", body, got, want)
		}
	})
}

func TestParseResponse(t *testing.T) {
	for _, test := range []struct {
		in   string
		want string // status, size, close, body
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 41 false abc"},
		{"HTTP/1.1 200 OK\r\ncontent-length:0\r\nConnection: keep-alive\r\n\r\n", "200 61 false "},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\nconnection: Close\r\n\r\na", "404 65 true a"},
		{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "200 39 true a"},
		{"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", "200 63 false a"},
		{"HTTP/1.1 200\r\n\r\nabc", "200 -1 true abc"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "200 39 false a"},
	} {
		r, err := parseResponse([]byte(test.in))
		if got := fmt.Sprintf("%d %d %v %s", r.status, r.size, r.close, r.body); err != nil || got != test.want {
			t.Errorf("%q: %s, %v; want %s", test.in, got, err, test.want)
		}
	}
	for _, bad := range []string{
		"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1  200\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nfoo\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		if r, err := parseResponse([]byte(bad)); err != errResponse {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
	whole := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	for n := range whole {
		if r, err := parseResponse([]byte(whole[:n])); err != errMore {
			t.Errorf("%q: %+v, %v", whole[:n], r, err)
		}
	}
}

// Where net/http reads a response, too, both read the same.
func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.0 404 Not Found\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseResponse(b)
		if err != nil {
			return
		}
		if got.size > len(b) || got.status < 0 || got.status > 999 {
			t.Fatalf("%q: %+v", b, got)
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			return
		}
		defer want.Body.Close()
		body, err := io.ReadAll(want.Body)
		head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		if bytes.Count(head, []byte("\n")) != bytes.Count(head, []byte("\r\n")) {
			return // a bare line feed ends a line in net/http, and is part of it here
		}
		// Statuses without a body are none that a tracker answers an announce with.
		if err != nil || want.StatusCode < 200 || want.StatusCode == 204 || want.StatusCode == 304 {
			return
		}
		if got.status != want.StatusCode || !bytes.Equal(got.body, body) {
			t.Fatalf("%q: %d %q, want %d %q", b, got.status, got.body, want.StatusCode, body)
		}
	})
}
