package seal

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"starling/wire"
)

const (
	// challengeLife is after how long another challenge is drawn.
	challengeLife = 10 * time.Second
	// challengeMemory is how many are good at once: an echo may take a few seconds where there are more nodes than one STATE can answer.
	challengeMemory = 3
)

// Challenges are what this node wants to see again before it believes anybody. The newest is sent with each STATE.
type Challenges struct {
	drawn [challengeMemory]wire.Challenge // the newest first; zero: none
	at    time.Time                       // when the newest was drawn
}

// Now returns the challenge to be sent now. rng must be one that nobody can foretell.
func (c *Challenges) Now(now time.Time, rng *rand.Rand) wire.Challenge {
	if c.at.IsZero() || now.Sub(c.at) >= challengeLife || now.Before(c.at) {
		copy(c.drawn[1:], c.drawn[:])
		for c.drawn[0] = (wire.Challenge{}); c.drawn[0] == (wire.Challenge{}); {
			binary.BigEndian.PutUint64(c.drawn[0][:], rng.Uint64())
		}
		c.at = now
	}
	return c.drawn[0]
}

// Good reports whether an echo is one of ours, and not older than half a minute.
func (c *Challenges) Good(now time.Time, echo wire.Challenge) bool {
	if echo == (wire.Challenge{}) || now.Sub(c.at) >= challengeLife*challengeMemory {
		return false
	}
	for _, drawn := range c.drawn {
		if drawn == echo {
			return true
		}
	}
	return false
}
