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
	// challengePause is after how long another is drawn when one is wanted.
	challengePause = 2 * time.Second
)

// drawn is a challenge of ours.
type drawn struct {
	challenge wire.Challenge // zero: none
	at        time.Time
}

// Challenges are what this node wants to see again before it believes anybody. The newest is sent with each STATE.
type Challenges struct {
	drawn [challengeMemory]drawn // the newest first
	renew bool
}

// Renew makes the next challenge another one: a node that starts anew has to return one that was drawn after its last start was proven.
func (c *Challenges) Renew() { c.renew = true }

// Now returns the challenge to be sent now. rng must be one that nobody can foretell.
func (c *Challenges) Now(now time.Time, rng *rand.Rand) wire.Challenge {
	newest := &c.drawn[0]
	if age := now.Sub(newest.at); age < 0 || age >= challengeLife || c.renew && age >= challengePause {
		c.renew = false
		copy(c.drawn[1:], c.drawn[:])
		*newest = drawn{at: now}
		for newest.challenge == (wire.Challenge{}) {
			binary.BigEndian.PutUint64(newest.challenge[:], rng.Uint64())
		}
	}
	return newest.challenge
}

// Drawn returns when an echo was drawn as our challenge; ok is false unless that was within the last half minute, however seldom one is drawn.
func (c *Challenges) Drawn(now time.Time, echo wire.Challenge) (at time.Time, ok bool) {
	for i := range c.drawn {
		d := &c.drawn[i]
		if age := now.Sub(d.at); d.challenge == echo && age >= 0 && age < challengeLife*challengeMemory {
			return d.at, echo != (wire.Challenge{})
		}
	}
	return at, false
}
