package client

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"starling/wire"
)

var testHash = wire.InfoHash{0: ' ', 1: '+', 2: '&', 3: 0xff, 19: '='}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1":                "http://127.0.0.1/announce",
		"udp://[::1]:6969":                "udp://[::1]:6969/announce",
		"https://t.example/x?passkey=1#a": "https://t.example/x?passkey=1",
		"http://t.example:80/":            "http://t.example:80/announce",
	} {
		if u, err := ParseURL(in); err != nil || u.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, u, err, want)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:6969", "ftp://a/", "http:///announce", "udp://127.0.0.1", "http://a b/", "://", "ws://a:1"} {
		if u, err := ParseURL(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, u)
		}
	}
}

func TestAnnounceQuery(t *testing.T) {
	a := &Announce{
		InfoHash: testHash, PeerID: [20]byte{'-', 'S'}, Port: 6881, Left: 7, Event: wire.EventStarted,
		NumWant: 30, IP: netip.MustParseAddr("fd00::1"),
	}
	u := announceURL(mustParse(t, "http://t.example/announce?passkey=a%2Bb"), a)
	if strings.ContainsAny(u.RawQuery, "+ ") || !strings.HasPrefix(u.RawQuery, "passkey=a%2Bb&info_hash=") {
		t.Errorf("query %q", u.RawQuery)
	}
	q := u.Query()
	for key, want := range map[string]string{
		"info_hash": string(testHash[:]), "peer_id": string(a.PeerID[:]), "port": "6881", "left": "7", "event": "started",
		"numwant": "30", "ip": "fd00::1", "compact": "1", "uploaded": "0", "downloaded": "0", "passkey": "a+b",
	} {
		if got := q.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	u = announceURL(mustParse(t, "http://t.example/announce?compact=0&left=9"), a)
	if got := fmt.Sprint(u.Query()["compact"], u.Query()["left"]); got != "[0] [9]" {
		t.Errorf("what the URL says of compact and left becomes %s", got)
	}
	u = announceURL(mustParse(t, "http://t.example"), &Announce{NumWant: -1})
	for _, key := range []string{"event", "numwant", "ip"} {
		if u.Query().Has(key) {
			t.Errorf("%s in %q", key, u.RawQuery)
		}
	}
}

func TestScrapeURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://t.example/announce":            "http://t.example/scrape?info_hash=",
		"http://t.example/x/announce.php":      "http://t.example/x/scrape.php?info_hash=",
		"http://t.example/announce?k=1":        "http://t.example/scrape?k=1&info_hash=",
		"http://t.example/scrape":              "http://t.example/scrape?info_hash=",
		"http://t.example/a%2Fb/announce?a%26": "http://t.example/a%2Fb/scrape?a%26&info_hash=",
	} {
		u, err := ScrapeURL(mustParse(t, in), testHash)
		if err != nil || !strings.HasPrefix(u.String(), want) {
			t.Errorf("%s: %v, %v; want %s...", in, u, err, want)
		}
	}
	if u, err := ScrapeURL(mustParse(t, "http://t.example/a")); err == nil {
		t.Errorf("%v, want an error", u)
	}
}

// serve runs a tracker that answers with h and returns its announce URL.
func serve(t *testing.T, h http.HandlerFunc) *url.URL {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return mustParse(t, s.URL+"/announce")
}

const goodAnswer = "d8:completei3e10:incompletei4e8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe1e"

func TestHTTPAnnounceAndItsJSON(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("info_hash") != string(testHash[:]) {
			http.Error(w, "info_hash", http.StatusBadRequest)
		}
		io.WriteString(w, goodAnswer)
	})
	a, err := new(Client).Announce(t.Context(), u, &Announce{InfoHash: testHash})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(a)
	want := `{"interval":1800,"min_interval":0,"complete":3,"incomplete":4,"downloaded":null,` +
		`"external_ip":"","warning":"","peers":[{"ip":"127.0.0.1","port":6881}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}

func TestHTTPScrape(t *testing.T) {
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/scrape" {
			t.Errorf("path %q", r.URL.Path)
		}
		fmt.Fprintf(w, "d5:filesd20:%sd8:completei1e10:downloadedi2e10:incompletei3eeee", r.URL.Query()["info_hash"][1])
	})
	s, err := new(Client).Scrape(t.Context(), u, []wire.InfoHash{{1}, testHash})
	if err != nil || len(s.Files) != 1 || s.Files[testHash] != (ScrapeFile{1, 3, 2, nil}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, n := range []int{0, wire.MaxScrape + 1} {
		if _, err := new(Client).Scrape(t.Context(), u, make([]wire.InfoHash, n)); err == nil {
			t.Errorf("a scrape of %d is allowed", n)
		}
	}
}

func TestHTTPRedirects(t *testing.T) {
	hops := 0
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if hops--; hops >= 0 {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
			return
		}
		io.WriteString(w, goodAnswer)
	})
	for hops = range maxRedirects + 2 {
		given := hops
		_, err := new(Client).Announce(t.Context(), u, &Announce{})
		if given <= maxRedirects && err != nil || given > maxRedirects && !errors.Is(err, errRedirects) {
			t.Errorf("%d redirects: %v", given, err)
		}
	}
	away := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	if _, err := new(Client).Announce(t.Context(), away, &Announce{}); err == nil {
		t.Error("a redirect to a file is followed")
	}
}

func TestHTTPRefusals(t *testing.T) {
	var ae *AnswerError
	var fe *FailureError
	var se *StatusError
	for _, test := range []struct {
		status int
		body   string
		target any
	}{
		{200, "d14:failure reason4:gonee", &fe},
		{400, "d14:failure reason4:gonee", &fe},
		{404, "404 page not found", &se},
		{500, goodAnswer, &se},
		{204, "", &se},
		{200, "garbage", &ae},
		{200, "", &ae},
		{200, goodAnswer + "\n", &ae},
	} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
		})
		if _, err := new(Client).Announce(t.Context(), u, &Announce{}); !errors.As(err, test.target) {
			t.Errorf("%d %q: %v, want a %T", test.status, test.body, err, test.target)
		}
	}
}

func TestHTTPAnswersAreBounded(t *testing.T) {
	endless := func(w io.Writer) {
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { endless(w) })
	packed := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		endless(gzip.NewWriter(w))
	})
	for _, u := range []*url.URL{plain, packed} {
		var ae *AnswerError
		if _, err := new(Client).Announce(t.Context(), u, &Announce{}); !errors.As(err, &ae) {
			t.Errorf("an endless answer: %v", err)
		}
	}
	header := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		io.WriteString(w, goodAnswer)
	})
	if _, err := new(Client).Announce(t.Context(), header, &Announce{}); err == nil {
		t.Error("an endless header is read")
	}
}

func TestHTTPSilence(t *testing.T) {
	u := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := new(Client).Announce(ctx, u, &Announce{})
	var se *SilenceError
	if !errors.As(err, &se) || se.Waited <= 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a SilenceError", err)
	}
	if strings.Contains(err.Error(), "tries") {
		t.Errorf("%v, but nothing was tried again", err)
	}
}

func TestHTTPConnectionRefused(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	_, err := new(Client).Announce(t.Context(), mustParse(t, s.URL), &Announce{})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "info_hash") {
		t.Errorf("%v", err)
	}
}
