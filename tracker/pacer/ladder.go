package pacer

import "time"

// Step is what a request gets.
type Step uint8

// The ladder, from the best to the worst. A request waited in its class's queue
// before it comes here, unless it is UDP, which never waits.
const (
	// Serve is the whole answer.
	Serve Step = iota
	// Short is an announce's answer with fewer peers: the seed's short packets.
	Short
	// Redirect sends an HTTP client to a sibling node, once.
	Redirect
	// Bare is a valid announce answer without peers, and a booked interval.
	Bare
	// Fail is a failure reason with interval, min interval and retry in.
	Fail
	// Stale is the last good copy of a document.
	Stale
	// Unavailable is 503 with Retry-After.
	Unavailable
	// Hangup closes the connection, or does not answer a datagram.
	Hangup
	stepCount
)

var stepNames = [stepCount]string{"serve", "short", "redirect", "bare", "fail", "stale", "unavailable", "hangup"}

// String returns the step as metrics name it.
func (s Step) String() string { return stepNames[s] }

// Steps returns all steps, for who counts them.
func Steps() []Step { return []Step{Serve, Short, Redirect, Bare, Fail, Stale, Unavailable, Hangup} }

// shortLists are the peer lists that are tried, in this order.
var shortLists = [...]int{25, 10, 0}

// Situation is all that the decision depends on.
type Situation struct {
	Kind    Kind
	Outcome Outcome // of Gate.Wait, or for UDP of Gate.Try
	UDP     bool
	Jail    bool // its class is the one for clients that misbehave
	Abuse   bool // it does not even parse, and not for the first time

	// What an announce's answer costs: Base and PerPeer for each of NumWant
	// peers; and what its class could have, Tree.Available. Costs in requests
	// have no PerPeer: then there are no short lists.
	NumWant       int
	Base, PerPeer int64
	Available     int64

	Sibling    bool // another node has room and health, and redirects are on
	Redirected bool // the query says that it was redirected already
	Copy       bool // there is a last good copy of the document
}

// Decide returns the step for a request, and with how many peers it is
// answered. What it costs is charged, asked or not.
//
//	abuse                Hangup
//	admitted             Serve
//	documents            Stale, else Unavailable
//	announces            Short when a shorter list has the tokens
//	HTTP                 Redirect when there is a sibling, and it is not jailed
//	jailed or queue full Fail, of HTTP
//	announces            Bare
//	scrapes              Serve for UDP, where an error makes clients wait no
//	                     longer than silence; Fail for HTTP
//
// A stopped announce wants no peers, and its change is applied already.
func Decide(s Situation) (step Step, numWant int) {
	scrape := s.Kind == Scrape
	switch {
	case s.Abuse:
		return Hangup, 0
	case s.Outcome == Admitted:
		return Serve, s.NumWant
	case s.Kind == Bulk && s.Copy:
		return Stale, 0
	case s.Kind == Bulk:
		return Unavailable, 0
	}
	if n, ok := s.shorter(); ok && !scrape && !s.Jail {
		return Short, n
	}
	switch {
	case !s.UDP && s.Sibling && !s.Redirected && !s.Jail:
		return Redirect, 0
	case !s.UDP && (s.Jail || s.Outcome == Full || scrape):
		return Fail, 0
	case scrape:
		return Serve, 0
	}
	return Bare, 0
}

// shorter returns the longest of the shorter lists that there are tokens for.
func (s *Situation) shorter() (numWant int, ok bool) {
	if s.PerPeer == 0 {
		return 0, false
	}
	for _, n := range shortLists {
		if n < s.NumWant && s.Base+int64(n)*s.PerPeer <= s.Available {
			return n, true
		}
	}
	return 0, false
}

// Shorter returns with how many peers an announce is answered that was admitted
// after it waited: with fewer the longer that was. Who comes after it so waits
// less, and where the wait comes to rest nearly everybody gets some peers,
// instead of some all and the others none. A wait of less than a quarter of
// the deadline costs nothing.
func Shorter(numWant int, waited, deadline time.Duration) int {
	quarter := min(int64(waited)*4/max(int64(deadline), 1), int64(len(shortLists)))
	if quarter <= 0 {
		return numWant
	}
	return min(numWant, shortLists[quarter-1])
}
