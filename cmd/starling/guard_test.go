package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeToken returns a file with a text, that only its owner can read.
func writeToken(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const testToken = "0123456789abcdef-._~+/="

// TestChanging: only who may changes anything. Without a token that is a program on this host, with one whoever has it.
func TestChanging(t *testing.T) {
	const here, elsewhere = "127.0.0.1:4711", "10.0.0.1:4711"
	const closed, open = "127.0.0.1:0", "0.0.0.0:0"
	for _, tt := range []struct {
		admin, token, from, origin, bearer string
		want                               int
		counted                            string
	}{
		{closed, "", here, "", "", 204, ""},
		{closed, "", "[::1]:4711", "", "", 204, ""},
		{closed, "", "[::ffff:127.0.0.1]:4711", "", "", 204, ""},
		{closed, "", here, "", "Bearer whatever", 204, ""},
		{closed, "", elsewhere, "", "", 403, "source"},
		{closed, "", "", "", "", 403, "source"},
		{closed, "", here, "http://127.0.0.1:6970", "", 403, "origin"},
		{closed, "", here, "null", "", 403, "origin"},
		{closed, "", here, "empty", "", 403, "origin"},
		{open, "", here, "", "", 403, "read_only"},
		{"[::]:0", "", here, "", "", 403, "read_only"},
		{open, "", here, "", "Bearer " + testToken, 403, "read_only"},
		{open, testToken, elsewhere, "", "Bearer " + testToken, 204, ""},
		{open, testToken, elsewhere, "http://10.0.0.2:6970", "bearer  " + testToken, 204, ""},
		{closed, testToken, here, "", "Bearer " + testToken, 204, ""},
		{closed, testToken, here, "", "", 401, "token_missing"},
		{open, testToken, here, "", "", 401, "token_missing"},
		{open, testToken, here, "", "Bearer", 401, "token_missing"},
		{open, testToken, here, "", "Basic " + testToken, 401, "token_missing"},
		{open, testToken, here, "", "twice", 401, "token_missing"},
		{open, testToken, here, "", "Bearer ", 401, "token"},
		{open, testToken, here, "", "Bearer " + testToken + "=", 401, "token"},
		{open, testToken, here, "", "Bearer " + testToken[1:], 401, "token"},
	} {
		g := guard{loopback: tt.admin == closed}
		token := adminToken{}
		if tt.token != "" {
			token = adminTokenOf(tt.token)
		}
		g.rule(nil, token)
		for _, method := range []string{"PUT", "POST", "DELETE", "PATCH", "STRANGE"} {
			r := httptest.NewRequest(method, "/", nil)
			r.Host, r.RemoteAddr = "127.0.0.1", tt.from
			switch tt.origin {
			case "":
			case "empty":
				r.Header.Set("Origin", "")
			default:
				r.Header.Set("Origin", tt.origin)
			}
			switch tt.bearer {
			case "":
			case "twice":
				r.Header["Authorization"] = []string{"Bearer " + testToken, "Bearer " + testToken}
			default:
				r.Header.Set("Authorization", tt.bearer)
			}
			w := httptest.NewRecorder()
			g.protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })).ServeHTTP(w, r)
			if w.Code != tt.want || (w.Code == 401) != strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%+v, %s: got %d, %v", tt, method, w.Code, w.Header())
			}
			if strings.Contains(w.Body.String(), testToken) {
				t.Errorf("%+v: the token is in the answer", tt)
			}
		}
		got := g.status()
		want := map[string]uint64{tt.counted: 5}
		maps.DeleteFunc(got.Refused, func(_ string, n uint64) bool { return n == 0 })
		if tt.want == 204 && (got.Changes != 5 || len(got.Refused) > 0) || tt.want != 204 && (got.Changes != 0 || !maps.Equal(got.Refused, want)) {
			t.Errorf("%+v: counted %+v", tt, got)
		}
	}
}

// TestReadingIsForAll: what changes nothing needs no token, whoever asks.
func TestReadingIsForAll(t *testing.T) {
	n := testNode(t, map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}, "admin-token-file": {"", []string{writeToken(t, testToken)}}})
	for _, path := range []string{"/healthz", "/metrics", "/api/v1/status", "/api/v1/limit", "/api/v1/director", "/"} {
		if w := askFrom(n, "GET", path, "10.0.0.1:4711", ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// askFrom sends a request of someone to the admin address without a network.
func askFrom(n *node, method, path, from, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.RemoteAddr = "127.0.0.1", from
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	n.guard.protect(n.adminMux()).ServeHTTP(w, r)
	return w
}

// TestProfiles: they and the names behind passkeys are for this host, and for whoever has the token.
func TestProfiles(t *testing.T) {
	token := setting{"", []string{writeToken(t, testToken)}}
	for _, tt := range []struct {
		settings map[string]setting
		token    string
		want     int
	}{
		{nil, "", 200},
		{map[string]setting{"admin-token-file": token}, "", 200},
		{map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}}, "", 404},
		{map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}}, testToken, 404},
		{map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}, "admin-token-file": token}, "", 401},
		{map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}, "admin-token-file": token}, "wrong", 401},
		{map[string]setting{"admin": {"", []string{"0.0.0.0:0"}}, "admin-token-file": token}, testToken, 200},
	} {
		n := testNode(t, tt.settings)
		keys := map[int]int{200: 409, 404: 403, 401: 401}[tt.want] // this node has no list of passkeys
		for _, path := range []string{"/api/v1/passkeys", "/api/v1/passkeys/some-passkey"} {
			if w := askFrom(n, "GET", path, "127.0.0.1:4711", tt.token); w.Code != keys {
				t.Errorf("%+v, %s: %d", tt, path, w.Code)
			}
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/%64ebug/pprof/heap"} {
			if w := askFrom(n, "GET", path, "127.0.0.1:4711", tt.token); w.Code != tt.want {
				t.Errorf("%+v, %s: %d", tt, path, w.Code)
			}
		}
	}
}

// TestAdminHostNames: names are those that were given, with any port and in any case.
func TestAdminHostNames(t *testing.T) {
	n := testNode(t, map[string]setting{"admin-host": {"", []string{"one.example", "Two"}}})
	for host, want := range map[string]int{
		"one.example": 200, "ONE.example:6970": 200, "two": 200, "two:1": 200, "127.0.0.1": 200, "localhost": 200,
		"three": 403, "one.example.": 403, "x.one.example": 403, "one.example.evil": 403, "": 403,
	} {
		if got := ask(n, "GET", "/healthz", host).Code; got != want {
			t.Errorf("%q: %d, want %d", host, got, want)
		}
	}
	if got := n.guard.status().Refused["host"]; got != 5 {
		t.Errorf("%d requests are counted", got)
	}
}

// TestGuessing: a source that guesses is soon not heard, for a time, and others are.
func TestGuessing(t *testing.T) {
	n := testNode(t, map[string]setting{"admin-token-file": {"", []string{writeToken(t, testToken)}}})
	put := func(from, token string) int { return askFrom(n, "DELETE", "/api/v1/limit", from, token).Code }
	for i := range guessBurst {
		if got := put("10.0.0.1:1", fmt.Sprint("guess", i)); got != 401 {
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	w := askFrom(n, "DELETE", "/api/v1/limit", "10.0.0.1:2", testToken)
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the right token after so many wrong ones: %d, %v", w.Code, w.Header())
	}
	if got := put("10.0.0.2:1", testToken); got != 200 {
		t.Errorf("another source: %d", got)
	}
	if got := n.guard.status(); got.Refused["token"] != guessBurst || got.Refused["guesses"] != 1 || got.Changes != 1 {
		t.Errorf("counted %+v", got)
	}
}

// TestGuesses plays many sources against the bound: one that is always there is never heard more often than it may be, whoever else guesses, nor are
// others while there is room for all; right tokens cost nothing, and the tables keep their size.
func TestGuesses(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var g guesses
	began := time.Unix(1_700_000_000, 0)
	now := began
	wrong := make(map[netip.Addr]int)
	sources := 1 + rng.IntN(maxGuessers*3/2)
	steady := netip.AddrFrom4([4]byte{192, 0, 2, 1}) // one that does nothing else
	for range 20_000 {
		now = now.Add(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
		n := rng.IntN(sources)
		from := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		if rng.IntN(3) == 0 {
			from = steady
		}
		if g.take(now, from) > 0 {
			continue
		}
		if rng.IntN(4) == 0 {
			g.right(now, from)
			continue
		}
		wrong[from]++
		if most := guessBurst + int(now.Sub(began)/guessEvery); wrong[from] > most && (from == steady || sources < maxGuessers) {
			t.Fatalf("seed %d: %s gave %d wrong tokens in %v", seed, from, wrong[from], now.Sub(began))
		}
	}
	if len(g.free) > maxGuessers || len(g.known) > maxKnown {
		t.Errorf("seed %d: %d and %d sources are remembered", seed, len(g.free), len(g.known))
	}
	g = guesses{}
	for range 1000 {
		if g.take(now, netip.Addr{}) > 0 {
			t.Fatal("right tokens are counted")
		}
		g.right(now, netip.Addr{})
	}
}

// TestNobodyLocksOut: however many sources guess, and whether they do so behind the address of the operator, who has the right token is heard.
func TestNobodyLocksOut(t *testing.T) {
	n := testNode(t, map[string]setting{"admin-token-file": {"", []string{writeToken(t, testToken)}}})
	put := func(from, token string) int { return askFrom(n, "DELETE", "/api/v1/limit", from, token).Code }
	if got := put("10.0.0.1:1", testToken); got != 200 {
		t.Fatal(got)
	}
	for i := range 3 * maxGuessers {
		n.guard.guesses.take(time.Now(), guesserOf(fmt.Sprintf("[2001:db8:%x::1]:1", i)))
	}
	for range guessBurst {
		put("10.0.0.1:2", "guess")
	}
	for _, from := range []string{"10.0.0.1:3", "10.0.0.9:1", "[2001:db8:ffff::1]:1"} {
		if got := put(from, testToken); got != 200 {
			t.Errorf("%s: %d", from, got)
		}
	}
	if got := put("10.0.0.1:2", "guess"); got != 429 {
		t.Errorf("one more guess: %d", got)
	}
	n.guard.rule(nil, adminTokenOf("another-token-of-22"))
	if got := put("10.0.0.1:3", "another-token-of-22"); got != 429 {
		t.Errorf("with another token an address is known: %d", got)
	}
}

func TestGuesserOf(t *testing.T) {
	for remote, want := range map[string]string{
		"10.0.0.1:5": "10.0.0.1", "[::ffff:10.0.0.1]:5": "10.0.0.1", "[2001:db8::1:2:3:4]:5": "2001:db8::", "[fe80::1%lo]:5": "fe80::", "": "invalid IP",
	} {
		if got := guesserOf(remote).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
}

func TestHostNames(t *testing.T) {
	var names []string
	for name, good := range map[string]bool{
		"a": true, "tracker-1.example.org": true, "A_b": true,
		"a:80": false, "*": false, "*.example.org": false, "a b": false, ".a": false, "-a": false, "ä": false, "http://a": false, strings.Repeat("a", 254): false,
	} {
		if err := setHostName(&names)(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"A_b", "a", "tracker-1.example.org"}) {
		t.Errorf("got %v", names)
	}
}
