package livesync

import "starling/wire"

// What a peer did is told to receivers that may know nothing of it, or anything. The records of one peer that wait are
// those, and only those, that lead every receiver to where all of its records would have: to the same peers, the same
// completion marks, the same count of completions.
//
// STOPPED divides them into segments. Of a segment that ends in a stop, the completion is worth telling, which is counted,
// and the stop. A stop after a stop says nothing new. Of the last segment the completion is worth telling, and whether the
// peer is a leecher after it; without a completion only the last record. So what waits is always
//
//	[completion stop]* [stop] [completion] [leecher]   or   [completion stop]* [stop] [leecher or seeder]
//
// with at most one stop in a row. A stop and a completion are never one record: STOPPED wins over the rest at every receiver.

// said is what a record says of its peer, as far as a receiver acts on it.
type said uint8

const (
	nothing said = iota // no record
	leecher
	seeder
	completion
	stopped
)

func saidBy(f wire.Flags) said {
	switch {
	case f&wire.Stopped != 0:
		return stopped
	case f.Completion():
		return completion
	case f&wire.Seeding != 0:
		return seeder
	}
	return leecher
}

// joint is what becomes of a peer's new record and the last one that waits.
type joint uint8

const (
	appended  joint = iota // it waits behind the last one
	replaced               // it takes the last one's place
	dropped                // the last one says it all
	retracted              // neither is worth telling: the one before the last says it all
)

// coalesce decides. Before is the record before the last: a completion, a stop, or nothing.
func coalesce(before, last, next said) joint {
	switch {
	case last == nothing:
		return appended
	case last == stopped:
		if next == stopped {
			return dropped
		}
		return appended
	case last == completion:
		if next == completion || next == seeder {
			return dropped
		}
		return appended
	case before == completion && next != leecher && next != stopped, // completion, leecher, seeder
		before == stopped && next == stopped:
		return retracted
	}
	return replaced
}
