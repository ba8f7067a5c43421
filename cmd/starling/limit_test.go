package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// change sends a request that changes something to the admin address, from this host and without a network.
func change(n *node, method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host, req.RemoteAddr = "localhost", "127.0.0.1:4711"
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	n.guard.protect(n.adminMux()).ServeHTTP(w, req)
	return w
}

// limitOf returns the answer about the limit.
func limitOf(t *testing.T, w *httptest.ResponseRecorder) (l limitStatus) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &l); w.Code != http.StatusOK || err != nil {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	return l
}

// TestLimit: the hard limit is in force while it is the least, is told to the recorder, and goes again.
func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		settings map[string]setting
		base     int64 // in force without a limit
	}{
		{map[string]setting{"rate": {"", []string{"10MB/s"}}}, 10_000_000},
		{map[string]setting{"uplink": {"", []string{"12MB/s"}}}, 3_000_000}, // the part it starts with
		{map[string]setting{"announce-rate": {"", []string{"1000/s"}}}, 0},
		{map[string]setting{}, 0},
	} {
		n := testNode(t, tt.settings)
		if l := limitOf(t, ask(n, "GET", "/api/v1/limit", "localhost")); l != (limitStatus{InForce: tt.base}) {
			t.Errorf("%v at first: %+v", tt.settings, l)
		}
		want := limitStatus{Requested: true, Limit: 2_000_000, InForce: 2_000_000, Observed: 2_000_000}
		for _, how := range [][2]string{{"?rate=2MB/s", ""}, {"", "2MB/s"}, {"", "2000KB/s\n"}, {"?rate=2MB%2Fs", "ignored"}} {
			if l := limitOf(t, change(n, "PUT", "/api/v1/limit"+how[0], how[1])); l != want {
				t.Errorf("%q: %+v", how, l)
			}
		}
		if requested, limit := n.steering.pacing.Recorder().HardLimit(); !requested || limit != 2_000_000 {
			t.Errorf("the recorder has %t, %d", requested, limit)
		}
		if rate := n.steering.pacing.Stats(time.Now()).Rate; rate != 2_000_000 {
			t.Errorf("the rate is %d", rate)
		}
		if l := limitOf(t, change(n, "PUT", "/api/v1/limit?rate=20MB/s", "")); tt.base > 0 && l.InForce != tt.base {
			t.Errorf("a limit above the rate: %+v", l)
		}
		if l := limitOf(t, change(n, "DELETE", "/api/v1/limit", "")); l != (limitStatus{InForce: tt.base}) {
			t.Errorf("%v afterwards: %+v", tt.settings, l)
		}
		if requested, _ := n.steering.pacing.Recorder().HardLimit(); requested {
			t.Error("the recorder keeps the limit")
		}
	}
}

// TestBadLimits: a limit that is none changes nothing and the answer names the value.
func TestBadLimits(t *testing.T) {
	n := testNode(t, map[string]setting{"rate": {"", []string{"10MB/s"}}})
	limitOf(t, change(n, "PUT", "/api/v1/limit?rate=5MB/s", ""))
	for _, tt := range []struct{ path, body, word string }{
		{"?rate=0B/s", "", "0B/s"}, {"?rate=-1MB/s", "", "-1MB/s"}, {"?rate=200/s", "", "bytes"}, {"?rate=", "", `""`}, {"?rate=fast", "", "fast"},
		{"", "", "missing"}, {"", "{}", "{}"}, {"", strings.Repeat("1", 300), "longer"},
		{"?limit=1MB/s", "", "limit"}, {"?rate=1MB/s&rate=2MB/s", "", "once"}, {"?%zz", "", "query"},
	} {
		w := change(n, "PUT", "/api/v1/limit"+tt.path, tt.body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tt.word) || strings.Count(w.Body.String(), "\n") != 1 {
			t.Errorf("%s %s: %d %q", tt.path, tt.body, w.Code, w.Body)
		}
	}
	if w := change(n, "PUT", "/api/v1/limit?rate=1B/s", ""); w.Code != http.StatusOK {
		t.Errorf("a very small limit: %d %s", w.Code, w.Body) // parts that would be none are one
	}
	limitOf(t, change(n, "PUT", "/api/v1/limit?rate=5MB/s", ""))
	if l := limitOf(t, ask(n, "GET", "/api/v1/limit", "localhost")); l.InForce != 5_000_000 {
		t.Errorf("in force: %+v", l)
	}
}

// TestWhoMayLimit: pages of the web, other hosts and whoever comes over an address that others reach may look, and change nothing.
func TestWhoMayLimit(t *testing.T) {
	rate := map[string]setting{"rate": {"", []string{"10MB/s"}}}
	n := testNode(t, rate)
	for _, method := range []string{"PUT", "DELETE"} {
		if w := change(n, method, "/api/v1/limit?rate=1MB/s", "", "Origin", "http://localhost:6970"); w.Code != http.StatusForbidden {
			t.Errorf("%s with Origin: %d", method, w.Code)
		}
		if w := askFrom(n, method, "/api/v1/limit?rate=1MB/s", "192.0.2.1:4711", ""); w.Code != http.StatusForbidden {
			t.Errorf("%s from another host: %d", method, w.Code)
		}
	}
	rate["admin"] = setting{"", []string{"0.0.0.0:0"}}
	open := testNode(t, rate)
	for _, method := range []string{"PUT", "DELETE"} {
		if w := change(open, method, "/api/v1/limit?rate=1MB/s", ""); w.Code != http.StatusForbidden {
			t.Errorf("%s where others reach: %d", method, w.Code)
		}
	}
	for _, n := range []*node{n, open} {
		if l := limitOf(t, ask(n, "GET", "/api/v1/limit", "localhost")); l.Requested || l.InForce != 10_000_000 {
			t.Errorf("the limit is %+v", l)
		}
	}
	if w := change(n, "POST", "/api/v1/limit", "1MB/s"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestLimitWhereNothingIsPaced: a hard limit holds at a node that had no rate, for connections that were open, too.
func TestLimitWhereNothingIsPaced(t *testing.T) {
	s := serve(t, "--livesync-interface", "none")
	query := "http://" + s.HTTP[0] + "/announce?info_hash=" + exampleHash[:20] + "&port=6881"
	spent := func() (n int64) {
		for _, tree := range nodeStatusOf(t, s.Admin).Pacing.Trees {
			for _, c := range tree.Classes {
				if c.Name == "regular" { // the status itself is bulk
					n += c.Spent
				}
			}
		}
		return n
	}
	get(t, query)
	if n := spent(); n != 0 {
		t.Errorf("%d bytes were charged without a rate", n)
	}
	put(t, s.Admin, "PUT", "100KB/s")
	await(t, "what is answered is charged", func() bool { get(t, query); return spent() > 0 })
	put(t, s.Admin, "DELETE", "")
	answers := func() (n uint64) {
		for _, count := range nodeStatusOf(t, s.Admin).Pacing.Steps {
			n += count
		}
		return n
	}
	await(t, "nothing is limited", func() bool { p := nodeStatusOf(t, s.Admin).Pacing; return p.Rate == 0 && len(p.Steps) == 0 })
	get(t, query)
	put(t, s.Admin, "PUT", "200KB/s") // and again: what was answered meanwhile was not asked about
	await(t, "it is paced again", func() bool { return nodeStatusOf(t, s.Admin).Pacing.Rate == 200_000 })
	before := answers()
	put(t, s.Admin, "DELETE", "")
	for range 5 {
		get(t, query)
	}
	put(t, s.Admin, "PUT", "300KB/s")
	await(t, "it is paced once more", func() bool { return nodeStatusOf(t, s.Admin).Pacing.Rate == 300_000 })
	if n := answers(); n != before {
		t.Errorf("%d requests asked pacing while there was none", n-before)
	}
}

// put changes the limit of a node that serves, as an operator does.
func put(t *testing.T, admin, method, body string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+admin+"/api/v1/limit", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %s", method, res.StatusCode, answer)
	}
}

// TestLimitOverTCP changes the limit of a node that serves.
func TestLimitOverTCP(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--rate", "10MB/s")
	for _, tt := range []struct {
		method, body string
		want         int64
	}{{"PUT", "1MB/s", 1_000_000}, {"DELETE", "", 10_000_000}} {
		put(t, s.Admin, tt.method, tt.body)
		await(t, "the status shows it", func() bool { // it may be a moment old
			p := nodeStatusOf(t, s.Admin).Pacing
			return p.Rate == tt.want && p.Trees[0].Classes[0].Rate == tt.want
		})
	}
}
