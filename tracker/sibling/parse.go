package sibling

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Sibling is another tracker.
type Sibling struct {
	// Base is what stands before /announce and /scrape in its addresses: http://b.example.org:6969.
	Base string
	// Health is the URL that answers 200 while the tracker is up.
	Health string
}

// Parse reads URL=HEALTHZ-URL: the URL that clients announce at, over HTTP, and the one that tells its health. A path
// may be left out of either: it is /announce and /healthz then.
func Parse(s string) (Sibling, error) {
	announce, health, ok := strings.Cut(s, "=")
	if !ok {
		return Sibling{}, fmt.Errorf("%q is not URL=HEALTHZ-URL, such as http://10.0.0.2:6969/announce=http://10.0.0.2:6970/healthz", s)
	}
	if strings.ContainsFunc(s, unsafeInHeader) {
		return Sibling{}, fmt.Errorf("%q has characters that a URL must write as %%20 or xn--", s)
	}
	if strings.Contains(s, "@") { // not repeated: it would be in the log
		return Sibling{}, errors.New("a URL has a name or password in it, which every client would be shown")
	}
	base, err := parseAnnounce(announce)
	if err != nil {
		return Sibling{}, fmt.Errorf("%q: %w", s, err)
	}
	h, err := parseURL(health)
	if err != nil {
		return Sibling{}, fmt.Errorf("%q: %w", s, err)
	}
	if h.Path == "" || h.Path == "/" {
		h.Path = "/healthz"
	}
	return Sibling{Base: base, Health: h.String()}, nil
}

// parseAnnounce reads the URL that clients announce at and returns what stands before /announce.
func parseAnnounce(s string) (base string, err error) {
	u, err := parseURL(s)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return "", fmt.Errorf("%q has a query, and clients bring their own", s)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	prefix, ok := strings.CutSuffix(path, "/announce")
	if !ok && path != "" {
		return "", fmt.Errorf("%q does not end in /announce, so that nobody knows where its scrape is", s)
	}
	return u.Scheme + "://" + u.Host + prefix, nil
}

// parseURL reads a URL that can be asked over HTTP.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not a URL that begins with http:// or https:// and a host", s)
	case u.Fragment != "":
		return nil, fmt.Errorf("%q has a fragment", s)
	}
	return u, nil
}
