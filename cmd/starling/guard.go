package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// guard decides what a request at the admin address may do:
//
//	Host is an IP address, localhost or a name of --admin-host ---------------- else 403
//	GET, HEAD       anybody who reaches the address; profiles and passkeys at a loopback address, or with the token
//	anything else   with --admin-token-file: Authorization: Bearer and the token
//	                without: a loopback address, a source on this host and no Origin header
//
// A page from the web can make a browser send requests here under a name that it has pointed at this address (DNS rebinding), and
// would read the answers; it cannot under an IP address. Whatever it makes a browser send has an Origin header.
type guard struct {
	loopback bool // only this host reaches the address
	allowed  atomic.Pointer[guardRules]
	guesses  guesses

	refused [guardRefusals]atomic.Uint64
	changes atomic.Uint64 // requests that were let through to change something
}

// guardRules are what can change while the node runs.
type guardRules struct {
	hosts []string   // names that Host may be, besides localhost
	token adminToken // zero: there is none
}

// A guardRefusal is why a request was refused.
type guardRefusal uint8

const (
	guardHost     guardRefusal = iota // Host is a name that is not ours
	guardOrigin                       // a page of the web asked
	guardSource                       // another host asked, and there is no token
	guardReadOnly                     // other hosts reach the address, and there is no token
	guardMissing                      // there is a token, and the request has none
	guardToken                        // the token is wrong
	guardGuesses                      // its source gave too many wrong ones
	guardRefusals
)

var guardRefusalNames = [guardRefusals]string{"host", "origin", "source", "read_only", "token_missing", "token", "guesses"}

// rule puts names and a token in force, and reports whether they are others than before.
func (g *guard) rule(hosts []string, token adminToken) (changed bool) {
	was := g.allowed.Swap(&guardRules{hosts, token})
	if was != nil && was.token != token {
		g.guesses.forget()
	}
	return was == nil || was.token != token || !slices.Equal(was.hosts, hosts)
}

// protect returns next behind the guard.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rules := g.allowed.Load()
		if !rules.hostAllowed(r.Host) {
			g.refuse(w, guardHost, http.StatusForbidden, "the Host header must be an IP address, localhost or a name given by --admin-host")
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if !g.mayChange(w, r, rules) {
				return
			}
			g.changes.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// profiles returns next for those who may look into the process.
func (g *guard) profiles(next http.HandlerFunc) http.HandlerFunc {
	return g.insiders(next, http.NotFound)
}

// insiders returns next for a loopback address and for those who have the token; without one others get what otherwise answers.
func (g *guard) insiders(next, otherwise http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rules := g.allowed.Load()
		switch {
		case g.loopback:
			next(w, r)
		case rules.token == (adminToken{}):
			otherwise(w, r)
		case g.checkToken(w, r, rules.token):
			next(w, r)
		}
	}
}

// readOnly refuses what only insiders may.
func (g *guard) readOnly(w http.ResponseWriter, _ *http.Request) {
	g.refuse(w, guardReadOnly, http.StatusForbidden, "other hosts reach this admin address: it says this only with --admin-token-file")
}

// hostAllowed reports whether a Host header, with or without a port, is one under which no page of the web can be.
func (g *guardRules) hostAllowed(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if strings.EqualFold(host, "localhost") || slices.ContainsFunc(g.hosts, func(name string) bool { return strings.EqualFold(name, host) }) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// mayChange reports whether a request may change something; if not, it is answered.
func (g *guard) mayChange(w http.ResponseWriter, r *http.Request, rules *guardRules) bool {
	switch {
	case rules.token != (adminToken{}):
		return g.checkToken(w, r, rules.token)
	case !g.loopback:
		g.refuse(w, guardReadOnly, http.StatusForbidden, "this admin address is not a loopback one and serves no changes without --admin-token-file")
	case !fromLoopback(r.RemoteAddr):
		g.refuse(w, guardSource, http.StatusForbidden, "changes are made from this host only, or with the token of --admin-token-file")
	case len(r.Header["Origin"]) > 0:
		g.refuse(w, guardOrigin, http.StatusForbidden, "changes are not made by web pages: there must be no Origin header")
	default:
		return true
	}
	return false
}

// checkToken reports whether a request has the token; if not, it is answered. A source that gave wrong ones too often is not heard
// for a while, however right its next one is, unless the right one came from there before.
func (g *guard) checkToken(w http.ResponseWriter, r *http.Request, token adminToken) bool {
	given, ok := bearer(r.Header["Authorization"])
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="starling"`)
		g.refuse(w, guardMissing, http.StatusUnauthorized, "this needs the token of --admin-token-file, as Authorization: Bearer TOKEN")
		return false
	}
	now, from := time.Now(), guesserOf(r.RemoteAddr)
	wait := g.guesses.take(now, from)
	right := false
	if wait <= 0 || g.guesses.knows(now, from) {
		sum := sha256.Sum256([]byte(given))
		right = subtle.ConstantTimeCompare(sum[:], token[:]) == 1
	}
	switch {
	case right && wait > 0: // nothing was counted
	case right:
		g.guesses.right(now, from)
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		g.refuse(w, guardGuesses, http.StatusTooManyRequests, "too many wrong tokens")
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="starling", error="invalid_token"`)
		g.refuse(w, guardToken, http.StatusUnauthorized, "the token is wrong")
	}
	return right
}

// refuse answers and counts a request that may not be.
func (g *guard) refuse(w http.ResponseWriter, why guardRefusal, code int, text string) {
	g.refused[why].Add(1)
	http.Error(w, text, code)
}

// bearer returns the token of an Authorization header. There must be one header, since what a proxy makes of two is anybody's guess.
func bearer(headers []string) (token string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}

// fromLoopback reports whether the other end of a connection, address and port, is this host.
func fromLoopback(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// guardStatus counts what the admin address refused and let through.
type guardStatus struct {
	Refused map[string]uint64 // by reason
	Changes uint64
}

func (g *guard) status() guardStatus {
	s := guardStatus{Refused: make(map[string]uint64), Changes: g.changes.Load()}
	for why, name := range guardRefusalNames {
		s.Refused[name] = g.refused[why].Load()
	}
	return s
}
