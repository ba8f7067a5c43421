package livesync

import (
	"time"

	"starling/wire"
)

// maxBetter is how many torrents that others told wrong are remembered at once.
const maxBetter = 65536

// better remembers the torrents of which a tell said less than we know, and how much the
// best of these tells said. They are told once no tell was heard for an interval, if nobody else has done so by then.
type better struct {
	heard map[wire.InfoHash]uint64 // completions as told
	order []wire.InfoHash          // in the order they were heard; some may have been dropped from heard since
	at    time.Time                // when they may be told
	lost  uint64                   // entries that found no room
}

func newBetter() better { return better{heard: make(map[wire.InfoHash]uint64)} }

// add remembers that h was told with fewer completions than we count.
func (b *better) add(h wire.InfoHash, downloaded uint64) {
	known, ok := b.heard[h]
	switch {
	case ok:
		b.heard[h] = max(known, downloaded)
	case len(b.order) >= maxBetter:
		b.lost++
	default:
		b.heard[h] = downloaded
		b.order = append(b.order, h)
	}
}

// drop forgets h: somebody else told it right, or we just did.
func (b *better) drop(h wire.InfoHash) { delete(b.heard, h) }

// told is told that a tell was heard: nothing is said before quiet.
func (b *better) told(quiet time.Time) { b.at = quiet }

// fill takes the next torrents of which we still know more than was told.
func (b *better) fill(now time.Time, dst []wire.Tell, lookup func(time.Time, wire.InfoHash) (wire.Tell, bool)) int {
	n := 0
	for n < len(dst) && len(b.order) > 0 {
		h := b.order[0]
		b.order = b.order[1:]
		told, ok := b.heard[h]
		delete(b.heard, h)
		if !ok {
			continue
		}
		if ours, ok := lookup(now, h); ok && ours.Downloaded > told {
			dst[n] = ours
			n++
		}
	}
	if len(b.order) == 0 {
		b.clear()
	}
	return n
}

// len returns how many entries are still to be looked at.
func (b *better) len() int { return len(b.order) }

// due returns when fill shall be called, the zero time for never.
func (b *better) due() time.Time {
	if len(b.order) == 0 {
		return time.Time{}
	}
	return b.at
}

func (b *better) clear() {
	clear(b.heard)
	b.order = nil
}
