package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/tracker/document"
	"starling/wire"
)

// TestStatusIsShared: one picture serves many who ask at once, each gets it whole, and it is counted.
func TestStatusIsShared(t *testing.T) {
	n := testNode(t, nil)
	const asked = 200
	began := time.Now()
	var all sync.WaitGroup
	for range asked {
		all.Go(func() {
			w := ask(n, "GET", "/api/v1/status", "localhost")
			var s status
			if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d, %v, %v", w.Code, w.Header(), err)
			}
		})
	}
	all.Wait()
	c := n.statusPage.Counts()
	if most := uint64(time.Since(began)/statusFresh) + 1; c.Built > most || c.Fresh+c.Followed+c.Stale != asked || n.documents.Live() != 0 {
		t.Errorf("%+v, want at most %d builds; %d live", c, most, n.documents.Live())
	}
	want := fmt.Sprintf("\nstarling_documents_total{document=\"status\",source=\"fresh\"} %d\n", c.Fresh)
	if page := string(n.figures(time.Now()).page(time.Now())); !strings.Contains(page, want) {
		t.Errorf("metrics do not have %s", want)
	}
}

// TestStatusShowsChanges: a change shows at the latest when the picture is too old to be served.
func TestStatusShowsChanges(t *testing.T) {
	n := testNode(t, nil)
	ask(n, "GET", "/api/v1/status", "localhost")
	n.tracker.Apply(time.Now(), wire.Record{InfoHash: wire.InfoHash{1}, Peer: wire.PeerFrom(netip.MustParseAddrPort("192.0.2.1:6881"))})
	<-time.After(statusKeep)
	if w := ask(n, "GET", "/api/v1/status", "localhost"); !strings.Contains(w.Body.String(), `"torrents":1`) || w.Header().Get("Cache-Status") != "" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// TestStatusIsCharged: what the status has in bytes is observed and charged to the class of documents, which a path may be part of.
func TestStatusIsCharged(t *testing.T) {
	n := testNode(t, map[string]setting{"rate": {"", []string{"1MB/s"}}})
	bytes := int64(ask(n, "GET", statusPath, "localhost").Body.Len())
	ask(n, "HEAD", statusPath, "localhost")
	for _, c := range n.steering.pacing.Stats(time.Now()).Bytes {
		want := int64(0)
		if c.Name == "bulk" || c.Parent == "" {
			want = bytes
		}
		if c.Spent != want {
			t.Errorf("class %s spent %d bytes, want %d", c.Name, c.Spent, want)
		}
	}
}

// TestBandwidthBoundsDocuments: as many copies of the status may be on their way at once as the line was seen to carry, or as a hard
// limit allows when that is less; who comes then is given the last good copy all the same.
func TestBandwidthBoundsDocuments(t *testing.T) {
	n := testNode(t, nil)
	ask(n, "GET", statusPath, "localhost")
	const many = 2000
	live := func() (admitted int) {
		var readers []*document.Reader
		for range many {
			r, err := n.statusPage.Get(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
		admitted = n.documents.Live()
		for _, r := range readers {
			r.Close()
		}
		return admitted
	}
	if got := live(); got != many {
		t.Errorf("nothing is known of the line, and %d are admitted", got)
	}
	size := ask(n, "GET", statusPath, "localhost").Body.Len()
	r := n.steering.pacing.Recorder()
	r.SetObservationPeriod(1)
	later := time.Now().Add(time.Hour) // a second begins, however long ago the node was made
	r.Roll(later)
	r.RecordBytes(900_000)
	r.Busy()
	r.Roll(later.Add(time.Second))
	if got, want := live(), int(r.Bandwidth())/size; got > want*11/10 || got < want*9/10 || want > many*9/10 {
		t.Errorf("%d are admitted at %d bytes a second, want %d", got, r.Bandwidth(), want)
	}
	change(n, "PUT", "/api/v1/limit?rate=100KB/s", "")
	if got, want := live(), 100_000/size; got > want*11/10+1 || got < want*9/10 {
		t.Errorf("%d are admitted with a hard limit, want %d", got, want)
	}
	change(n, "DELETE", "/api/v1/limit", "")
	if got := live(); got < 1_000_000/size/2 {
		t.Errorf("%d are admitted without it again", got)
	}
}
