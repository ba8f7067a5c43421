package pacer

// minimumSpeed is what a big document must be able to go at, in bytes a second,
// or whoever fetches it gives up and comes back: seed 002's minimum, with some
// overage.
const minimumSpeed = 64_000

// Heavy admits big documents (the full scrape, dumps) so that all that are
// under way go at the minimum speed at least. One that is larger is reckoned
// with that speed, a smaller one with its size: it is through in a second.
//
// A Heavy has no lock: its holder guards it.
type Heavy struct {
	live  int
	claim uint64 // the sum of what those under way are reckoned with
}

// claimOf is what a document is reckoned with. One without bytes counts, too:
// it is under way.
func claimOf(size uint64) uint64 { return min(max(size, 1), minimumSpeed) }

// Start admits a document of a size if its claim fits a rate in bytes a second
// with those of the others: the lower of the hard limit and what is observed,
// which is what a Recorder's Bandwidth returns. One is always admitted when
// none is under way. Who is admitted calls End with the same size.
func (h *Heavy) Start(size, rate uint64) bool {
	claim := claimOf(size)
	if h.live > 0 && (h.claim > rate || claim > rate-h.claim) {
		return false
	}
	h.live++
	h.claim += claim
	return true
}

// End says that a document that was admitted is through, or broken off.
func (h *Heavy) End(size uint64) {
	h.live--
	h.claim -= claimOf(size)
}

// Live returns how many documents are under way.
func (h *Heavy) Live() int { return h.live }
