package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// testNode returns a node that is bound to ports the system chose, with live sync off, and serves nothing.
func testNode(t testing.TB, settings map[string]setting) *node {
	t.Helper()
	all := map[string]setting{
		"http":               {"", []string{"127.0.0.1:0"}},
		"udp":                {"", []string{"127.0.0.1:0"}},
		"admin":              {"", []string{"127.0.0.1:0"}},
		"livesync-interface": {"", []string{"none"}},
	}
	maps.Copy(all, settings)
	cfg, err := resolve(fromMap(all))
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNode(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

// ask sends a request to the admin address without a network.
func ask(n *node, method, path, host string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, nil)
	req.Host, req.RemoteAddr = host, "127.0.0.1:4711"
	w := httptest.NewRecorder()
	n.guard.protect(n.adminMux()).ServeHTTP(w, req)
	return w
}

func TestAdminPaths(t *testing.T) {
	n := testNode(t, nil)
	n.phase.Store(phaseReady)
	for _, tt := range []struct {
		method, path string
		code         int
		kind, body   string
	}{
		{"GET", "/healthz", 200, "text/plain", "ok\n"},
		{"GET", "/readyz", 200, "text/plain", "ready\n"},
		{"HEAD", "/readyz", 200, "text/plain", ""},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4", "# HELP starling_"},
		{"GET", "/api/v1/status", 200, "application/json", `{"tracker_id":"`},
		{"GET", "/", 200, "text/html", "<!doctype html>"},
		{"GET", "/debug/pprof/", 200, "text/html", "<html>"},
		{"GET", "/debug/pprof/cmdline", 200, "text/plain", ""},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "text/plain", "goroutine profile"},
		{"GET", "/nonsense", 404, "text/plain", ""},
		{"GET", "/debug/vars", 404, "text/plain", ""},
		{"POST", "/healthz", 405, "text/plain", ""},
		{"PUT", "/api/v1/status", 405, "text/plain", ""},
		{"DELETE", "/", 405, "text/plain", ""},
	} {
		w := ask(n, tt.method, tt.path, "127.0.0.1:6970")
		if w.Code != tt.code || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) || !strings.HasPrefix(w.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %s %q", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

// TestAdminHost: a name that a web page may have pointed at us is refused on every path.
func TestAdminHost(t *testing.T) {
	n := testNode(t, nil)
	for host, allowed := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:6970": true, "10.0.0.1:80": true, "[::1]": true, "[::1]:6970": true, "[fe80::1%25lo]": true,
		"localhost": true, "localhost:6970": true, "LocalHost": true,
		"": false, "example.org": false, "localhost.example.org": false, "127.0.0.1.example.org:6970": false, "[localhost]:80": true,
		"127.1": false, "0x7f000001": false, "LOCALHOST.": false, ":6970": false, "[]": false, "[": false,
	} {
		for _, path := range []string{"/healthz", "/api/v1/status", "/debug/pprof/", "/"} {
			if got := ask(n, "GET", path, host).Code == http.StatusOK; got != allowed {
				t.Errorf("Host %q, %s: allowed %t, want %t", host, path, got, allowed)
			}
		}
	}
}

func TestPhases(t *testing.T) {
	n := testNode(t, nil)
	for _, tt := range []struct {
		phase         int32
		health, ready int
		word          string
	}{
		{phaseStarting, 200, 503, "starting\n"},
		{phaseReady, 200, 200, "ready\n"},
		{phaseDraining, 503, 503, "draining\n"},
	} {
		n.phase.Store(tt.phase)
		if got := ask(n, "GET", "/healthz", "localhost").Code; got != tt.health {
			t.Errorf("%s: /healthz %d, want %d", tt.word, got, tt.health)
		}
		if w := ask(n, "GET", "/readyz", "localhost"); w.Code != tt.ready || w.Body.String() != tt.word {
			t.Errorf("%s: /readyz %d %s, want %d", tt.word, w.Code, w.Body, tt.ready)
		}
		if got := n.status(time.Now()).Ready; got != (tt.ready == 200) {
			t.Errorf("%s: ready is %t in the status", tt.word, got)
		}
	}
}

// TestStatusKeys holds the JSON to the promised keys, to the letter and in kind; more may be there.
func TestStatusKeys(t *testing.T) {
	const promised = `{"tracker_id":"7f3a91c2","version":"...","uptime_s":12.5,"ready":true,
 "torrents":3,"peers":{"ipv4":10,"ipv6":2},"seeders":4,
 "announces":{"http":120,"udp":4000},"scrapes":{"http":1,"udp":2},
 "livesync":{"group":"224.0.42.5:9696","interface":"eth0","mode":"plain","state":"idle",
   "sent":{"packets":9,"records":300,"beacons":2,"inquiries":0,"tells":0},
   "received":{"packets":8,"records":290,"beacons":2,"inquiries":0,"tells":0},
   "dropped":{"own_id":0,"source":0,"short":0,"type":0,"group":0,"auth":0,"replay":0,"queue":0}},
 "nodes":[{"id":"01020304","address":"10.0.0.2:9696","last_heard_s":0.8,"torrents":3,
   "packets":8,"records":290,"lost":0,"repaired":0,"mode":"plain"}]}`
	var want, got map[string]any
	if err := json.Unmarshal([]byte(promised), &want); err != nil {
		t.Fatal(err)
	}
	s := testNode(t, nil).status(time.Now())
	s.Nodes = append(s.Nodes, nodeStatus{})
	var b bytes.Buffer
	writeJSON(&b, s)
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	sameShape(t, "status", want, got)
	if empty := ask(testNode(t, nil), "GET", "/api/v1/status", "localhost"); !strings.Contains(empty.Body.String(), `"nodes":[]`) {
		t.Error("no nodes is not an empty list")
	}
}

// sameShape fails the test for what want has and got has not, or has as another kind of value.
func sameShape(t *testing.T, path string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is no object", path)
		}
		for k, v := range want {
			sameShape(t, path+"."+k, v, got[k])
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) == 0 {
			t.Errorf("%s is no list with something in it", path)
			return
		}
		sameShape(t, path+"[0]", want[0], got[0])
	default:
		if kindOf(got) != kindOf(want) {
			t.Errorf("%s is %T, want %T", path, got, want)
		}
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return "other"
}

// TestAdminDrains: a request in hand when the end comes is still answered, and the address is free afterwards.
func TestAdminDrains(t *testing.T) {
	n := testNode(t, nil)
	all := newGroup(t.Context())
	all.start("admin", n.serveAdmin)
	conn, err := net.Dial("tcp", n.admin.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Who reads the body has the request in hand, and waits for as long as this does.
	io.WriteString(conn, "PUT /api/v1/limit HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	first := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, first); err != nil || !bytes.HasPrefix(first, []byte("HTTP/1.1 100 ")) {
		t.Fatalf("%q, %v", first, err)
	}
	ended := make(chan error)
	go func() { ended <- all.end() }()
	await(t, "the address is free", func() bool {
		c, err := net.Dial("tcp", n.admin.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	io.WriteString(conn, "1MB/s")
	if answer, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(answer, []byte("}\n")) {
		t.Errorf("got %q, %v", answer, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestAdminFamily: an IPv4 address, the unspecified one too, is not reached over IPv6.
func TestAdminFamily(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		ln, err := listenAdmin(addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if ip := ln.Addr().(*net.TCPAddr).IP; ip.To4() == nil {
			t.Errorf("%s listens on %s", addr, ip)
		}
	}
}
