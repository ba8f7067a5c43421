package wire

import "encoding/binary"

// Bounds of a STATE. Its fixed part, both texts and the trailer leave room for 89 echoes at least.
const (
	stateSize = HeaderSize + 132
	EchoSize  = 12

	MaxEchoes  = 100
	MaxURL     = 200 // bytes of a public announce URL
	MaxVersion = 32  // bytes of a program's version

	// SketchGroup is how many divergence sums stand in one STATE; a round of SketchGroups of them has all.
	SketchGroup  = 16
	SketchGroups = 16
)

// Challenge is what a node draws at random and wants to see again, to know that who answers is there now.
type Challenge [8]byte

// Echo gives a node its challenge back.
type Echo struct {
	ID        NodeID
	Challenge Challenge
}

// Health is what a node says of itself.
type Health uint8

// The healths. What is not known here counts as [Healthy]: a later version says it.
const (
	Healthy    Health = iota // serves
	CatchingUp               // serves, but lacks peers of which the others know
	Draining                 // is about to end: not to be caught up from, nor counted on
)

var healthNames = [...]string{Healthy: "healthy", CatchingUp: "catching up", Draining: "draining"}

// String returns the health in words.
func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return healthNames[Healthy]
}

// State is what a node of the keyed mode says of itself every second.
type State struct {
	Next        [Spaces]uint32 // the next sequence of each space
	Sent        int64          // by the sender's clock, in nanoseconds since 1970
	Torrents    uint64
	Peers       uint64
	Inquired    NodeID // who shall tell its torrents; zero: nobody
	Challenge   Challenge
	Capacity    uint64 // what it can do beside the others, in a unit that all share; 0: not said
	CatchUpPort uint16 // where it can be caught up from, over TCP; 0: it cannot
	Role        uint8  // 0 active, 1 standby, 2 backup
	Health      Health
	Round       uint32 // of divergence sums
	Group       uint8  // which of the round's groups the sums are, below [SketchGroups]
	Sums        [SketchGroup]int32
	Version     []byte // of the program, at most [MaxVersion] bytes
	URL         []byte // its public announce URL, at most [MaxURL] bytes
	Echoes      []Echo // at most [MaxEchoes]
}

// EchoRoom returns how many echoes fit into a packet beside this state's texts.
func (s *State) EchoRoom() int {
	texts := min(len(s.Version), MaxVersion) + min(len(s.URL), MaxURL)
	return min(MaxEchoes, (MaxUnfragmented-TrailerSize-stateSize-texts)/EchoSize)
}

// Append appends a whole STATE of node id, without the trailer. What exceeds a bound is cut off.
func (s *State) Append(b []byte, id NodeID) []byte {
	version, url := s.Version[:min(len(s.Version), MaxVersion)], s.URL[:min(len(s.URL), MaxURL)]
	echoes := s.Echoes[:min(len(s.Echoes), s.EchoRoom())]
	b = appendHeader(b, id, typeState)
	for _, seq := range s.Next {
		b = binary.BigEndian.AppendUint32(b, seq)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.Sent))
	b = binary.BigEndian.AppendUint64(b, s.Torrents)
	b = binary.BigEndian.AppendUint64(b, s.Peers)
	b = append(b, s.Inquired[:]...)
	b = append(b, s.Challenge[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Capacity)
	b = binary.BigEndian.AppendUint16(b, s.CatchUpPort)
	b = append(b, s.Role, byte(s.Health))
	b = binary.BigEndian.AppendUint32(b, s.Round)
	b = append(b, s.Group, byte(len(version)), byte(len(url)), byte(len(echoes)))
	for _, sum := range s.Sums {
		b = binary.BigEndian.AppendUint32(b, uint32(sum))
	}
	b = append(append(b, version...), url...)
	for i := range echoes {
		b = append(append(b, echoes[i].ID[:]...), echoes[i].Challenge[:]...)
	}
	return b
}

// State returns what a packet of kind [KindState] says. The texts point into the packet; the echoes are put into buf,
// which grows only when it is too small.
func (p *Packet) State(buf []Echo) (State, error) {
	b := p.body
	const fixed = stateSize - HeaderSize
	if p.Kind != KindState || len(b) < fixed {
		return State{}, ErrMalformed
	}
	group, version, url, echoes := b[64], int(b[65]), int(b[66]), int(b[67])
	if len(b) < fixed+version+url+echoes*EchoSize || group >= SketchGroups || version > MaxVersion || url > MaxURL || echoes > MaxEchoes {
		return State{}, ErrMalformed
	}
	s := State{
		Sent:        int64(binary.BigEndian.Uint64(b[12:])),
		Torrents:    binary.BigEndian.Uint64(b[20:]),
		Peers:       binary.BigEndian.Uint64(b[28:]),
		Inquired:    NodeID(b[36:]),
		Challenge:   Challenge(b[40:]),
		Capacity:    binary.BigEndian.Uint64(b[48:]),
		CatchUpPort: binary.BigEndian.Uint16(b[56:]),
		Role:        b[58],
		Health:      Health(b[59]),
		Round:       binary.BigEndian.Uint32(b[60:]),
		Group:       group,
		Version:     b[fixed : fixed+version],
		URL:         b[fixed+version : fixed+version+url],
		Echoes:      buf[:0],
	}
	for i := range s.Next {
		s.Next[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	for i := range s.Sums {
		s.Sums[i] = int32(binary.BigEndian.Uint32(b[68+4*i:]))
	}
	for e := b[fixed+version+url:]; len(s.Echoes) < echoes; e = e[EchoSize:] {
		s.Echoes = append(s.Echoes, Echo{NodeID(e), Challenge(e[4:])})
	}
	return s, nil
}
