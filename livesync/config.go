package livesync

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync/edits"
	"starling/livesync/seal"
	"starling/wire"
)

// Config is what a node needs to know. The function values join it to the
// tracker, which this package never imports; all of them must be set and safe for
// concurrent use, and none may call back into the [Node].
type Config struct {
	// ID names this node on the segment. It must not be zero.
	ID wire.NodeID
	// FixedID keeps ID even when another node is heard with it; the clash is then only reported.
	FixedID bool

	// Group is the multicast group, address and port, that is joined and sent to.
	Group netip.AddrPort
	// Interface is what [FindInterface] returned: a name, an address of this host, or nothing, which turns live sync off.
	Interface string
	// Nodes are the sources listened to. None: the interface's own subnets.
	Nodes []netip.Prefix

	// Keys turn the keyed mode on: the first seals what is sent, all of them open what is heard. None: plain mode.
	Keys seal.Keys
	// Epoch is the number of this start, which no other start with the same ID may have: nanoseconds since 1970. Keyed mode only.
	Epoch uint64
	// PlainNodes are the sources whose packets are taken in keyed mode although they have no tag. None: nobody's.
	PlainNodes []netip.Prefix

	// Flush is the longest a record waits for its packet to fill. Less costs more and smaller packets.
	Flush time.Duration
	// BeaconInterval is the unit of all scrape sync timers and must be positive. Less costs packets and makes nodes ask sooner.
	BeaconInterval time.Duration
	// FirstBeaconDelay is how long a node that has just started keeps quiet about its torrents.
	FirstBeaconDelay time.Duration
	// InquireThreshold is by how many percent a beacon must exceed our own number of torrents before we ask.
	InquireThreshold int
	// Dialect is how IPv4 peers are written. All dialects are always read.
	Dialect Dialect
	// ScrapeSync turns beacons, inquiries and tells on and off.
	ScrapeSync ScrapeSync

	// Apply takes in records that other nodes sent, in their order. It runs on the receiver's goroutine and keeps nothing of rs.
	Apply func(now time.Time, rs []wire.Record)
	// Learn takes in a tell entry and reports whether it was news. An access list is applied there.
	Learn func(now time.Time, e wire.Tell) (news bool)
	// Lookup returns what we would tell of one torrent.
	Lookup func(now time.Time, h wire.InfoHash) (wire.Tell, bool)
	// Tells is a cursor over all torrents: it fills dst from the given position and returns the next one, 0 at the end.
	// Positions grow from call to call.
	Tells func(now time.Time, cursor uint64, dst []wire.Tell) (n int, next uint64)
	// Torrents returns how many torrents are served here, for the beacon.
	Torrents func() uint64
	// Member returns what this node says of itself in keyed mode. It is asked once a second. Nil: nothing.
	Member func() Member
	// CatchUp makes this node catch up with others of the keyed mode, and them with it. Nil: it does not.
	CatchUp *CatchUp
	// Edits are the lists that the nodes of the keyed mode share. Nil: none.
	Edits *edits.Machine
	// Relay is the way to other segments, in keyed mode. Nil: there is none.
	Relay *Relay
	// Sketch returns one group of the sums from which divergence is reckoned (see wire.State). Nil: zeros.
	Sketch func(group int) [wire.SketchGroup]int32
	// SaveID keeps an id that was taken because the old one turned out to be in use. Nil: it is not kept.
	SaveID func(wire.NodeID) error

	// Budget is asked before each packet leaves: which lane it is of and how many bytes it has. 0 lets it leave and has
	// booked it; else it says after how long to ask again. Records that wait stay in the queue, which gives up what is worth
	// least when it is full. Nil: nothing waits.
	Budget func(now time.Time, lane Lane, bytes int) (wait time.Duration)
	// Owe is asked before an inquiry, with how many bytes the tell will have that it asks for, which comes as fast as the other node
	// sends: 0 lets the inquiry leave and has charged them; else it says after how long to ask again. Nil: nothing waits.
	Owe func(now time.Time, bytes int64) (wait time.Duration)
	// Settle is told, when that tell is over or was given up, how many bytes more came than were charged; below zero, fewer. Nil with Owe.
	Settle func(now time.Time, bytes int64)
	// Appeared is called when a node is heard that was not heard within [AbsentAfter] beacon intervals. It must only leave
	// word, and ask [Node.Status] later. Nil: nobody wants to know.
	Appeared func()

	// Log receives what an operator should know.
	Log zerolog.Logger

	// Listen joins the group. Nil: [Listen], real multicast.
	Listen func(group netip.AddrPort, ifname string) (Conn, error)
	// Seed makes jitter and new ids repeatable. Tests only; nil: the system's random source.
	Seed *[32]byte
}

// Dialect is how IPv4 peers are written for the partners on the segment; IPv6 peers are type 1 in all of them.
type Dialect uint8

// The dialects. Newer opentrackers misread type 0, the one of 2010 does not know type 1 peers.
const (
	Seed   Dialect = iota // IPv4 as type 0, as documented
	Modern                // IPv4 in mapped form as type 1
	Both                  // IPv4 twice, as type 0 and as type 1
)

var dialectNames = [...]string{Seed: "seed", Modern: "modern", Both: "both"}

// String returns the name as it stands on the command line.
func (d Dialect) String() string { return dialectNames[d] }

// ParseDialect reads seed, modern or both.
func ParseDialect(s string) (Dialect, error) {
	for d, name := range dialectNames {
		if s == name {
			return Dialect(d), nil
		}
	}
	return 0, fmt.Errorf("livesync dialect %q is not seed, modern or both", s)
}

// ScrapeSync says whether beacons, inquiries and tells are sent and tells are learned from.
type ScrapeSync uint8

// The settings of scrape sync.
const (
	Auto ScrapeSync = iota // on, but no tells while an opentracker of 2010 was heard within the last hour: they hang it
	On                     // on, whoever listens
	Off                    // nothing is beaconed, asked, told or learned
)

var scrapeSyncNames = [...]string{Auto: "auto", On: "on", Off: "off"}

// String returns the name as it stands on the command line.
func (s ScrapeSync) String() string { return scrapeSyncNames[s] }

// ParseScrapeSync reads auto, on or off.
func ParseScrapeSync(s string) (ScrapeSync, error) {
	for v, name := range scrapeSyncNames {
		if s == name {
			return ScrapeSync(v), nil
		}
	}
	return 0, fmt.Errorf("scrape sync %q is not auto, on or off", s)
}
