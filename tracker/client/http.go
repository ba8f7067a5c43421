package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"starling/wire"
)

func announceHTTP(ctx context.Context, u *url.URL, a *Announce) (*AnnounceReply, error) {
	body, err := get(ctx, announceURL(u, a))
	if err != nil {
		return nil, err
	}
	return parseAnnounce(body)
}

func scrapeHTTP(ctx context.Context, u *url.URL, hashes []wire.InfoHash) (*ScrapeReply, error) {
	su, err := ScrapeURL(u, hashes...)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, su)
	if err != nil {
		return nil, err
	}
	return parseScrape(body, hashes)
}

// announceURL adds the query of a to u, behind what u's query says already: passkeys stand there, and a
// parameter of a's that stands there too is left to it.
func announceURL(u *url.URL, a *Announce) *url.URL {
	q := newQuery(u)
	q.given = u.Query()
	q.add("info_hash", escape(a.InfoHash[:]))
	q.add("peer_id", escape(a.PeerID[:]))
	q.add("port", strconv.Itoa(int(a.Port)))
	q.add("uploaded", strconv.FormatUint(a.Uploaded, 10))
	q.add("downloaded", strconv.FormatUint(a.Downloaded, 10))
	q.add("left", strconv.FormatUint(a.Left, 10))
	q.add("compact", "1")
	if a.Event != wire.EventNone {
		q.add("event", a.Event.String())
	}
	if a.NumWant >= 0 {
		q.add("numwant", strconv.Itoa(a.NumWant))
	}
	if a.IP != (netip.Addr{}) {
		q.add("ip", url.QueryEscape(a.IP.String()))
	}
	return q.url()
}

// ScrapeURL makes the URL to scrape the given torrents at from the announce URL (BEP 48): `announce` at the start of the
// last path segment becomes `scrape`. A URL that has `scrape` there is one already.
func ScrapeURL(u *url.URL, hashes ...wire.InfoHash) (*url.URL, error) {
	path := u.EscapedPath()
	dir, last := path[:strings.LastIndex(path, "/")+1], path[strings.LastIndex(path, "/")+1:]
	if rest, ok := strings.CutPrefix(last, "announce"); ok {
		last = "scrape" + rest
	} else if !strings.HasPrefix(last, "scrape") {
		return nil, fmt.Errorf("the tracker has no scrape URL: %q begins neither with announce nor scrape", last)
	}
	q := newQuery(u)
	for _, h := range hashes {
		q.add("info_hash", escape(h[:]))
	}
	su := q.url()
	var err error
	su.RawPath = dir + last
	su.Path, err = url.PathUnescape(su.RawPath)
	return su, err
}

// query builds the query of a URL by hand: url.Values would sort the keys and decode what the user wrote.
type query struct {
	base  *url.URL
	given url.Values // not to be added again
	b     strings.Builder
}

func newQuery(u *url.URL) *query {
	q := &query{base: u}
	q.b.WriteString(u.RawQuery)
	return q
}

// add adds a parameter whose value is escaped already.
func (q *query) add(key, value string) {
	if q.given.Has(key) {
		return
	}
	if q.b.Len() > 0 {
		q.b.WriteByte('&')
	}
	q.b.WriteString(key + "=" + value)
}

func (q *query) url() *url.URL {
	u := *q.base
	u.RawQuery = q.b.String()
	return &u
}

// escape escapes raw bytes, a space as %20: not every tracker reads + as one.
func escape(b []byte) string {
	return strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20")
}

var errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

// get fetches an answer of at most [maxAnswer] bytes. An answer with a failure reason counts
// whatever its status; any other status than 200 is a [*StatusError].
func get(ctx context.Context, u *url.URL) ([]byte, error) {
	start := time.Now()
	code, status, body, err := fetch(ctx, u)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &SilenceError{Waited: time.Since(start)}
	}
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, answerErrorf("longer than %d bytes", maxAnswer)
	}
	if code != http.StatusOK {
		var fe *FailureError
		if _, err := parseDict(body); errors.As(err, &fe) {
			return nil, err
		}
		return nil, &StatusError{Status: status}
	}
	return body, nil
}

// fetch returns the status, as a number and as text, and the body, cut one byte beyond what is allowed.
func fetch(ctx context.Context, u *url.URL) (code int, status string, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("User-Agent", "Starling")
	h := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errRedirects
			}
			return nil
		},
	}
	resp, err := h.Do(req)
	if err != nil {
		// The whole query, escaped hash and all, is in the text of a url.Error; what went wrong is behind it.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, "", nil, fmt.Errorf("reading the answer: %w", err)
	}
	return resp.StatusCode, resp.Status, body, nil
}
