package wire

import (
	"fmt"
	"net/netip"
)

// MaxScrape is the most info hashes one HTTP scrape may ask for (BEP 48).
const MaxScrape = 100

// Query is an announce as its query string says it (BEP 3, 7, 21, 23, 52).
// What the query does not say has the value named at its field.
type Query struct {
	InfoHash InfoHash
	PeerID   [20]byte // zero: none given
	Port     uint16
	Left     uint64 // math.MaxUint64: none given, a leecher
	Event    Event
	NumWant  int        // -1: none given, or the client leaves it to the tracker
	Compact  bool       // false only for compact=0
	IP       netip.Addr // invalid: none given
}

// A ParamError says which parameter of a query is wrong; its text is what a
// client reads as the failure reason.
type ParamError struct {
	Param  string // the parameter's name
	Reason string // what is wrong with it
}

func (e *ParamError) Error() string { return fmt.Sprintf("%s: %s", e.Param, e.Reason) }
