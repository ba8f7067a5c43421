package document

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// serve answers one request without a network.
func serve(t *testing.T, d *Document, method string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
	return w
}

// TestHeads: a copy has its length, a stale one is marked, nothing to serve is 503 with a time to come back.
func TestHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		room := uint64(100)
		a := NewAdmission(func() uint64 { return room })
		d := New(Config{Build: n.build, ContentType: "text/x", Fresh: time.Minute, Timeout: patience, MaxSize: 100, Admission: a})
		a.start(1)
		if w := serve(t, d, "GET"); w.Code != 503 || w.Header().Get("Retry-After") != "60" {
			t.Errorf("overload without a copy: %d %v", w.Code, w.Header())
		}
		a.end(1)
		if w := serve(t, d, "GET"); w.Code != 200 || w.Body.String() != "this is 1" || !w.Flushed || w.Header().Get("Content-Length") != "" {
			t.Errorf("followed: %d %q %v", w.Code, w.Body, w.Header())
		}
		h := serve(t, d, "GET").Header()
		if h.Get("Content-Length") != "9" || h.Get("Content-Type") != "text/x" || h.Get("Cache-Control") != "no-store" || h.Get("Age") != "" {
			t.Errorf("fresh: %v", h)
		}
		<-time.After(2*time.Minute - time.Second)
		a.start(1)
		room = 5
		w := serve(t, d, "GET")
		if h := w.Header(); w.Code != 200 || w.Body.String() != "this is 1" || h.Get("Age") != "120" || h.Get("Cache-Status") != "starling; hit; ttl=-60" {
			t.Errorf("stale: %d %q %v", w.Code, w.Body, h)
		}
		a.end(1)
	})
}

// TestServed: every byte that was written is told of, of a document that breaks off too; those of a head are none.
func TestServed(t *testing.T) {
	served := 0
	document := func(fails error) *Document {
		return New(Config{Fresh: time.Nanosecond, Timeout: patience, MaxSize: 100, Served: func(n int) { served += n },
			Build: func(_ context.Context, w io.Writer) error {
				io.WriteString(w, "0123456789")
				return fails
			}})
	}
	d := document(nil)
	for i, method := range []string{"GET", "HEAD", "GET"} {
		serve(t, d, method)
		if want := []int{10, 10, 20}[i]; served != want {
			t.Errorf("%s: %d bytes in all, want %d", method, served, want)
		}
	}
	func() {
		defer func() { recover() }()
		serve(t, document(errors.New("out of ink")), "GET")
	}()
	if served != 20 && served != 30 { // it may have failed before the first byte was read
		t.Errorf("%d bytes in all", served)
	}
}

// TestBuildFailsHTTP: a failure before the first byte is a status, one after it breaks the connection off.
func TestBuildFailsHTTP(t *testing.T) {
	wrote := ""
	d := New(Config{Fresh: time.Nanosecond, Timeout: patience, MaxSize: 100, Build: func(_ context.Context, w io.Writer) error {
		io.WriteString(w, wrote)
		return errors.New("out of ink")
	}})
	srv := httptest.NewServer(d)
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if res.Body.Close(); res.StatusCode != 503 || string(body) != "out of ink\n" || err != nil {
		t.Errorf("%s, %q, %v", res.Status, body, err)
	}
	wrote = "half"
	res, err = http.Get(srv.URL)
	if err != nil {
		return // broken off before the head was sent
	}
	body, err = io.ReadAll(res.Body)
	if res.Body.Close(); err == nil {
		t.Errorf("%s, %q: taken for whole", res.Status, body)
	}
}

// TestFollowHTTP: bytes reach clients before the next ones are written, also clients that came before the first; one that reads nothing holds nobody up.
func TestFollowHTTP(t *testing.T) {
	parts := make(chan string)
	d := New(Config{Fresh: time.Hour, Timeout: patience, MaxSize: 64 << 20, Build: func(_ context.Context, w io.Writer) error {
		for p := range parts {
			if _, err := io.WriteString(w, p); err != nil {
				return err
			}
		}
		return nil
	}})
	srv := httptest.NewServer(d)
	defer srv.Close()
	arrived := make(chan string)
	for range 3 {
		go func() {
			res, err := http.Get(srv.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			b := make([]byte, 5)
			for {
				if _, err := io.ReadFull(res.Body, b); err != nil {
					arrived <- err.Error()
					return
				}
				arrived <- string(b)
			}
		}()
	}
	idle, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, part := range []string{"part1", "part2", "part3"} {
		parts <- part
		for range 3 {
			if got := <-arrived; got != part {
				t.Errorf("got %q, want %q", got, part)
			}
		}
	}
	close(parts)
	for range 3 {
		if got := <-arrived; got != "EOF" {
			t.Errorf("got %q at the end", got)
		}
	}
}
