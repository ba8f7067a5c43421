package fullscrape

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/anacrolix/torrent/bencode"
	"github.com/klauspost/compress/zstd"

	"starling/tracker"
	"starling/tracker/document"
	"starling/wire"
)

// filled returns the scrape of a tracker with so many torrents, of one to three peers.
func filled(t testing.TB, torrents int, admission *document.Admission) *Scrape {
	t.Helper()
	start := time.Now()
	store := tracker.New(tracker.Config{}, start)
	for n := range torrents {
		for p := range n%3 + 1 {
			a := tracker.Announce{
				Peer:   wire.PeerFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(p), 0, 1}), 6881)),
				Seeder: p == 1,
			}
			copy(a.InfoHash[:], fmt.Sprintf("%020d", n*7919%1000003))
			store.Announce(start, &a, &tracker.Answer{})
		}
	}
	return New(store, admission, func(int) {})
}

// ask sends a request to the scrape over a pipe and returns the answer with its body as it came.
func ask(t testing.TB, s *Scrape, r wire.Request, f Format) (*http.Response, []byte, error) {
	t.Helper()
	if r.Method == nil {
		r.Method = []byte("GET")
	}
	here, there := net.Pipe()
	ended := make(chan struct{})
	go func() {
		s.Answer(t.Context(), there, &r, f)
		there.Close()
		close(ended)
	}()
	here.SetReadDeadline(time.Now().Add(time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(here), &http.Request{Method: string(r.Method)})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	io.Copy(io.Discard, here) // what a writer to a pipe waits for
	<-ended                   // it is counted
	return resp, body, err
}

// unpack undoes the coding of an answer.
func unpack(t testing.TB, resp *http.Response, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch resp.Header.Get("Content-Encoding") {
	case "zstd":
		r, err = zstd.NewReader(r)
	case "gzip":
		r, err = gzip.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestAnswers: whatever the coding, format and version of HTTP, all torrents are there, sorted, with their counts.
func TestAnswers(t *testing.T) {
	const torrents = 3000
	s := filled(t, torrents, nil)
	_, plain, err := ask(t, s, wire.Request{}, Ben)
	if err != nil {
		t.Fatal(err)
	}
	var scrape struct {
		Files map[string]struct {
			Complete    int `bencode:"complete"`
			Incomplete  int `bencode:"incomplete"`
			Downloaders int `bencode:"downloaders"`
		} `bencode:"files"`
	}
	if err := bencode.Unmarshal(plain, &scrape); err != nil || len(scrape.Files) != torrents {
		t.Fatalf("%v, %d torrents", err, len(scrape.Files))
	}
	for n := range torrents {
		got := scrape.Files[fmt.Sprintf("%020d", n*7919%1000003)]
		if got.Complete != min(1, n%3) || got.Complete+got.Incomplete != n%3+1 || got.Downloaders != got.Incomplete {
			t.Fatalf("torrent %d: %+v", n, got)
		}
	}
	for _, tt := range []struct {
		accept, coding string
		format         Format
	}{
		{"gzip, deflate", "gzip", Ben}, {"gzip, deflate, br, zstd", "zstd", Ben}, {"identity", "", Ben},
		{"zstd;q=0, GZIP;q=0.5", "gzip", Ben}, {"gzip; q=0.0", "", Ben}, {"zstd, gzip", "gzip", Txt}, {"", "", Txt},
	} {
		for _, http10 := range []bool{false, true} {
			resp, body, err := ask(t, s, wire.Request{AcceptEncoding: []byte(tt.accept), HTTP10: http10}, tt.format)
			if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Encoding") != tt.coding || !resp.Close {
				t.Fatalf("%+v: %v, %+v", tt, err, resp)
			}
			got, want := unpack(t, resp, body), plain
			if tt.format != Ben {
				var b bytes.Buffer
				if err := convert(&b, bytes.NewReader(plain), tt.format); err != nil {
					t.Fatal(err)
				}
				want = b.Bytes()
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%+v, HTTP/1.0 %v: %d bytes, want %d", tt, http10, len(got), len(want))
			}
			if whole := resp.ContentLength >= 0; whole != (tt.coding == "zstd") {
				t.Errorf("%+v: length %d", tt, resp.ContentLength)
			}
			if chunked := slices.Contains(resp.TransferEncoding, "chunked"); chunked != (!http10 && tt.coding != "zstd") {
				t.Errorf("%+v: HTTP/1.0 %v, chunked %v", tt, http10, chunked)
			}
		}
	}
	if c := s.Counts(); c.Answered != 15 || c.Copy.Built != 1 {
		t.Errorf("%+v", c)
	}
}

// TestHead has no body.
func TestHead(t *testing.T) {
	resp, body, err := ask(t, filled(t, 10, nil), wire.Request{Method: []byte("HEAD")}, Ben)
	if err != nil || resp.StatusCode != 200 || len(body) != 0 {
		t.Errorf("%v, %+v, %q", err, resp, body)
	}
}

// TestEmpty is a scrape without files.
func TestEmpty(t *testing.T) {
	if _, body, err := ask(t, filled(t, 0, nil), wire.Request{}, Ben); err != nil || string(body) != "d5:filesdee" {
		t.Errorf("%v, %q", err, body)
	}
}

// TestNoRoom: where the line is full and there is no copy, a client is told when to come back.
func TestNoRoom(t *testing.T) {
	full := document.NewAdmission(func() uint64 { return 1 })
	s := filled(t, 10, full)
	held, err := s.copy.Get(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	resp, body, err := ask(t, New(tracker.New(tracker.Config{}, time.Now()), full, func(int) {}), wire.Request{}, Ben)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "60" || len(body) == 0 {
		t.Errorf("%v, %+v, %q", err, resp, body)
	}
}

// TestMemory: rows and copy are borrowed of the store's budget and given back. When there is not enough a client is told when to come back.
func TestMemory(t *testing.T) {
	budget := tracker.NewBudget(64 << 20)
	store := tracker.New(tracker.Config{Budget: budget}, time.Now())
	for n := range 1000 {
		store.Announce(time.Now(), &tracker.Announce{InfoHash: wire.InfoHash{byte(n >> 8), byte(n)}, Peer: wire.PeerFrom4([]byte{10, 0, 0, 1, 1, 1})}, &tracker.Answer{})
	}
	before := budget.Status()
	s := New(store, nil, func(int) {})
	for range 3 {
		resp, body, err := ask(t, s, wire.Request{AcceptEncoding: []byte("zstd")}, Ben)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %+v", err, resp)
		}
		if lent := budget.Status().Held - before.Held; lent != int64(len(body)) {
			t.Errorf("%d bytes are lent for a copy of %d", lent, len(body))
		}
		s.copy = document.New(document.Config{Build: s.build, Fresh: Fresh, Timeout: patience, MaxSize: maxCopy})
	}
	if !budget.Borrow(before.Bytes/100*80-budget.Status().Held-rowChunk) || budget.Borrow(2*rowChunk) {
		t.Fatalf("what may be borrowed does not end at four fifths: %+v", budget.Status())
	}
	full := budget.Status()
	resp, body, err := ask(t, s, wire.Request{}, Ben)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "60" || !bytes.Contains(body, []byte("memory")) {
		t.Errorf("%v, %+v, %q", err, resp, body)
	}
	if now := budget.Status(); now != full || now.Pressure != tracker.Calm {
		t.Errorf("after a copy that could not be made %+v is held, not %+v", now, full)
	}
}

// TestBreaksOff: a copy that breaks off while it is sent has no end that a client could take for one.
func TestBreaksOff(t *testing.T) {
	s := filled(t, 0, nil)
	s.copy = document.New(document.Config{Fresh: Fresh, Timeout: patience, MaxSize: maxCopy, Build: func(_ context.Context, w io.Writer) error {
		pack, err := zstd.NewWriter(w)
		if err != nil {
			return err
		}
		pack.Write(bytes.Repeat([]byte("20:"), pieceSize))
		pack.Flush()
		return errors.New("broken")
	}})
	for _, accept := range []string{"", "gzip", "zstd"} {
		here, there := net.Pipe()
		go func() {
			s.Answer(t.Context(), there, &wire.Request{Method: []byte("GET"), AcceptEncoding: []byte(accept)}, Ben)
			there.Close()
		}()
		resp, err := http.ReadResponse(bufio.NewReader(here), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == 503 {
			continue // it was broken before anything was read
		}
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Errorf("%q: the answer ends as if it were whole", accept)
		}
	}
}

// BenchmarkAnswer sends a million torrents from the copy.
func BenchmarkAnswer(b *testing.B) {
	s := filled(b, 1_000_000, nil)
	began := time.Now()
	if _, err := s.copy.Get(began); err != nil {
		b.Fatal(err)
	}
	ask(b, s, wire.Request{}, Ben)
	b.Logf("the first one, which follows the making of the copy: %v", time.Since(began))
	for _, accept := range []string{"identity", "gzip", "zstd"} {
		b.Run(accept, func(b *testing.B) {
			for b.Loop() {
				_, body, err := ask(b, s, wire.Request{AcceptEncoding: []byte(accept)}, Ben)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
}

// TestTop lists the largest swarms, and no more of them than there are.
func TestTop(t *testing.T) {
	s := filled(t, 30, nil)
	text, ok, err := s.Top(t.Context(), "top10")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) != 23 || string(lines[0]) != "Top 10 torrents by peers:" || string(lines[11]) != "Top 10 torrents by seeds:" {
		t.Fatalf("%s", text)
	}
	for i, line := range lines[1:11] {
		if !bytes.HasPrefix(line, []byte("\t3\t")) || len(line) != len("\t3\t")+40 || !bytes.HasPrefix(lines[12+i], []byte("\t1\t")) {
			t.Errorf("%q, %q", line, lines[12+i])
		}
	}
	if text, ok, err = s.Top(t.Context(), "top100"); !ok || err != nil || bytes.Count(text, []byte("\n")) != 2+30+20 {
		t.Errorf("%v, %v\n%s", ok, err, text)
	}
	if _, ok, _ := s.Top(t.Context(), "top1000"); ok {
		t.Error("top1000")
	}
}

// encrypted is a connection over another one, as one of TLS is.
type encrypted struct{ net.Conn }

func (e encrypted) NetConn() net.Conn { return e.Conn }

// TestCut: what breaks off over TLS ends without the word that it was the end, which goes over the connection below.
func TestCut(t *testing.T) {
	here, there := net.Pipe()
	cut(encrypted{there})
	if _, err := there.Write([]byte{0}); err != io.ErrClosedPipe {
		t.Errorf("the connection below is open: %v", err)
	}
	here.Close()
}
