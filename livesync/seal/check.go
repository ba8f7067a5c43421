package seal

import "starling/wire"

// maxChecked bounds how many (id, epoch) a [Checker] remembers.
const maxChecked = 1024

// Checker verifies tags one by one, for whoever only looks on: it believes nobody, and does not tell a replay.
type Checker struct {
	keys    Keys
	taggers map[life][]tagger
}

// life is one epoch of an id.
type life struct {
	id    wire.NodeID
	epoch uint64
}

// NewChecker returns a checker that verifies with any of the keys.
func NewChecker(keys Keys) *Checker { return &Checker{keys: keys, taggers: make(map[life][]tagger)} }

// Check reports whether a keyed packet's tag is right, and which of the keys made it.
func (c *Checker) Check(p *wire.Packet) (key int, ok bool) {
	l := life{p.From, p.Epoch}
	taggers, known := c.taggers[l]
	if !known {
		for i := range c.keys {
			taggers = append(taggers, newTagger(&c.keys[i], p.From, p.Epoch))
		}
		if len(c.taggers) == maxChecked {
			clear(c.taggers)
		}
		c.taggers[l] = taggers
	}
	for i := range taggers {
		if taggers[i].verify(p, wire.SpaceOf(p.Sealed)) {
			return i, true
		}
	}
	return 0, false
}
