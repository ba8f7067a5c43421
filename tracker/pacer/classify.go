package pacer

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
)

// Kind is what a request asks for.
type Kind uint8

// Announces by their event, and the rest by their path.
const (
	Regular Kind = iota // an announce without event, or with one that is none of the others
	Started
	Completed
	Stopped
	Scrape
	Bulk // full scrape, statistics: documents
	kinds
)

var kindNames = [kinds]string{"regular", "started", "completed", "stopped", "scrape", "bulk"}

// String returns the name as a class's match has it.
func (k Kind) String() string { return kindNames[k] }

// ParseKind reads a name that String returns.
func ParseKind(s string) (Kind, error) {
	if i := slices.Index(kindNames[:], s); i >= 0 {
		return Kind(i), nil
	}
	return 0, fmt.Errorf("event %q: it is one of %q", s, kindNames)
}

// Request is what a request is classified by. UDP has no path; a scrape has no
// client id.
type Request struct {
	Kind   Kind
	Path   []byte
	Client netip.Addr
	PeerID []byte
}

// Match fits a request when each of its lists that is not empty has a member
// that fits.
type Match struct {
	Kinds     []Kind
	Paths     []string // the whole path
	Networks  []netip.Prefix
	ClientIDs []string // how the peer id begins, as in -UT
}

// onlyKinds says whether a match looks at nothing but the kind.
func (m *Match) onlyKinds() bool {
	return len(m.Paths)+len(m.Networks)+len(m.ClientIDs) == 0
}

// fits says whether a request is of this match.
func (m *Match) fits(r *Request) bool {
	return (len(m.Kinds) == 0 || slices.Contains(m.Kinds, r.Kind)) &&
		(len(m.Paths) == 0 || slices.ContainsFunc(m.Paths, func(p string) bool { return p == string(r.Path) })) &&
		(len(m.Networks) == 0 || slices.ContainsFunc(m.Networks, func(n netip.Prefix) bool { return n.Contains(r.Client.Unmap()) })) &&
		(len(m.ClientIDs) == 0 || slices.ContainsFunc(m.ClientIDs, func(id string) bool { return bytes.HasPrefix(r.PeerID, []byte(id)) }))
}

// Classifier finds the class of a request: the first in the order of the file
// that has a match for it. It does not change and needs no lock.
type Classifier struct {
	rules [kinds][]rule // those that can fit a kind, up to the first that always does
}

// rule is one match of a class.
type rule struct {
	match  Match
	class  int
	always bool
}

// NewClassifier takes the classes that a Tree was built of. Every kind of
// request must find one, and a class that has others below it can have no
// matches: requests are of those below.
func NewClassifier(t *Tree) (*Classifier, error) {
	c := &Classifier{}
	for i := range t.nodes[1:] {
		n := t.nodes[i+1]
		leaf := slices.Index(t.leaves, n)
		if leaf < 0 && len(n.Match) > 0 {
			return nil, fmt.Errorf("class %q: it has a match and classes below it", n.Name)
		}
		for _, m := range n.Match {
			c.add(m, leaf)
		}
	}
	for k := range kinds {
		if rules := c.rules[k]; len(rules) == 0 || !rules[len(rules)-1].always {
			return nil, fmt.Errorf("no class has a match for every %s request", k)
		}
	}
	return c, nil
}

// add puts a match behind those before it, for each kind that it can fit.
func (c *Classifier) add(m Match, class int) {
	for k := range kinds {
		if len(m.Kinds) > 0 && !slices.Contains(m.Kinds, k) {
			continue
		}
		rules := c.rules[k]
		if len(rules) > 0 && rules[len(rules)-1].always {
			continue
		}
		c.rules[k] = append(rules, rule{match: m, class: class, always: m.onlyKinds()})
	}
}

// Classify returns the number of a request's class. Without matches by path,
// network or client id it is one look-up. The request is not kept.
func (c *Classifier) Classify(r *Request) int {
	rules := c.rules[r.Kind]
	for i := range rules {
		if rules[i].always || rules[i].match.fits(r) {
			return rules[i].class
		}
	}
	return rules[len(rules)-1].class
}
