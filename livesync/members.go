package livesync

import (
	"time"

	"starling/wire"
)

// Member is what a node of the keyed mode says of itself in its STATE, beside what livesync knows: the numbers and names that
// other nodes show, and by which they share the uplink.
type Member struct {
	Peers       uint64
	Capacity    uint64 // what it can do beside the others, in a unit that all share; 0: not said
	Role        uint8  // 0 active, 1 standby, 2 backup
	Health      wire.Health
	CatchUpPort uint16 // where it can be caught up from, over TCP; 0: it cannot
	Version     string // of the program
	URL         string // its public announce URL; empty: none
}

// maxText is how much of a text that another node sent is kept at most; wire bounds it too, and better.
const maxText = 256

// life is what a node of the keyed mode said of itself since it started.
type life struct {
	epoch    uint64
	member   Member
	said     time.Time // when its latest STATE came
	lags     lags
	diverges divergence
	otherKey bool      // it signs with another key than we do
	bye      bool      // it has said that it ends
	inquired time.Time // when it asked us last, by STATE
	asks     bool      // its latest STATE asks us
	first    uint32    // the first packet of records of this epoch that can have come
}

// hear takes in what a STATE says. Texts are made anew only when they have changed.
func (l *life) hear(now time.Time, st *wire.State) {
	m := &l.member
	*m = Member{
		Peers: st.Peers, Capacity: st.Capacity, Role: st.Role, Health: st.Health, CatchUpPort: st.CatchUpPort,
		Version: printable(m.Version, st.Version), URL: printable(m.URL, st.URL),
	}
	l.said = now
}

// printable returns a text of another node, with a question mark for all that is not plain ASCII: it is shown on terminals and in pages.
func printable(was string, b []byte) string {
	if was == string(b) {
		return was
	}
	text := make([]byte, 0, maxText)
	for _, c := range b[:min(len(b), maxText)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		text = append(text, c)
	}
	return string(text)
}

// health is what this node is as seen by the others: what it says, unless it is gone or has said BYE.
func (l *life) health() wire.Health {
	if l.bye {
		return wire.Draining
	}
	return l.member.Health
}
