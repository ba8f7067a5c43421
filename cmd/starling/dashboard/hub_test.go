package dashboard

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counting returns a hub whose frames are their numbers, and how many were made.
func counting(most int) (*Hub, *atomic.Int64) {
	made := new(atomic.Int64)
	return NewHub(most, func(time.Time) []byte { return fmt.Append(nil, made.Add(1)) }), made
}

// TestHubMakesFramesForReaders: one a second for all of them, none without, and whoever is slow gets the latest.
func TestHubMakesFramesForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, made := counting(3)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		if made.Load() != 0 {
			t.Errorf("%d frames for nobody", made.Load())
		}
		a, _ := h.join()
		synctest.Wait()
		b, _ := h.join()
		if string(<-a) != "1" || string(<-b) != "1" {
			t.Error("the first frame does not come at once")
		}
		<-time.After(10*time.Second + time.Millisecond)
		synctest.Wait()
		if made.Load() != 11 || string(<-a) != "11" || string(<-b) != "11" {
			t.Errorf("%d frames after ten seconds", made.Load())
		}
		if c, err := h.join(); err != nil || string(<-c) != "11" {
			t.Errorf("a third reader: %v", err)
		} else if _, err := h.join(); err == nil || h.Readers() != 3 {
			t.Error("there are more readers than may be")
		} else {
			h.leave(c)
		}
		// However often somebody comes and goes, no more frames are made.
		for range 100 {
			c, _ := h.join()
			<-c
			h.leave(c)
		}
		h.leave(a)
		h.leave(b)
		<-time.After(time.Minute)
		synctest.Wait()
		if made.Load() > 13 {
			t.Errorf("%d frames", made.Load())
		}
		a, _ = h.join()
		<-a
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, ok := <-a; ok || h.Readers() != 0 {
			t.Error("a reader is kept after the end")
		}
		if _, err := h.join(); err == nil {
			t.Error("a reader is taken after the end")
		}
	})
}

// TestHubOverHTTP: events as a browser reads them, until the end; too many readers are told so.
func TestHubOverHTTP(t *testing.T) {
	h, _ := counting(1)
	srv := httptest.NewServer(h)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("it is %s", kind)
	}
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"data: 1", "", "data: 2", ""} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q instead of %q", lines.Text(), want)
		}
	}
	second, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	second.Body.Close()
	if second.StatusCode != http.StatusServiceUnavailable || second.Header.Get("Retry-After") == "" {
		t.Errorf("one reader too many: %s", second.Status)
	}
	cancel()
	<-ended
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "data: ") && lines.Text() != "" {
			t.Errorf("at the end: %q", lines.Text())
		}
	}
}
