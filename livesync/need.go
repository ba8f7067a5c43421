package livesync

import "time"

const (
	// needWindow is how long a measurement counts.
	needWindow = 10 * time.Second
	// needLeast and needMost bound what a packet is taken to need, whatever was measured.
	needLeast = time.Millisecond
	needMost  = time.Second
)

// need measures what the link needs per packet: the least within a window that ends with the last measurement. While
// the link is away that is what it needed before. The window is divided into seconds.
type need struct {
	seconds [needWindow / time.Second]struct {
		second int64
		least  time.Duration
	}
	last int64 // the second of the last measurement
}

// sent is told that so many packets left within that time.
func (m *need) sent(now time.Time, packets int, took time.Duration) {
	each := max(took, 0) / time.Duration(packets)
	second := now.Unix()
	s := &m.seconds[uint64(second)%uint64(len(m.seconds))]
	if s.second != second || each < s.least {
		s.second, s.least = second, each
	}
	m.last = second
}

// known reports whether anything was measured.
func (m *need) known() bool { return m.last != 0 }

// packet returns what a packet needs: the least that it is taken for when nothing was measured.
func (m *need) packet() time.Duration {
	least := needMost
	if !m.known() {
		return needLeast
	}
	for _, s := range m.seconds {
		if s.second > m.last-int64(len(m.seconds)) && s.second <= m.last {
			least = min(least, s.least)
		}
	}
	return max(least, needLeast)
}
