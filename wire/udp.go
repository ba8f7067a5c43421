package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Event is what a client says has happened. The values are those of BEP 15;
// Paused (BEP 21) has none there and is 4 in the clients that send it.
type Event uint8

// The events of an announce.
const (
	EventNone Event = iota
	EventCompleted
	EventStarted
	EventStopped
	EventPaused
)

var eventNames = [...]string{"", "completed", "started", "stopped", "paused"}

func (e Event) String() string { return eventNames[e] }

// ParseEvent reads the event parameter of an HTTP announce; the empty event is a regular announce.
func ParseEvent[T string | []byte](s T) (Event, bool) {
	for e, name := range eventNames {
		if string(s) == name {
			return Event(e), true
		}
	}
	return EventNone, false
}

// Actions of BEP 15.
const (
	ActionConnect uint32 = iota
	ActionAnnounce
	ActionScrape
	ActionError
)

// Numbers of BEP 15.
const (
	ProtocolID = 0x41727101980 // connection id of a connect request

	UDPHeaderSize        = 16 // connection id, action, transaction id
	UDPConnectReplySize  = 16
	UDPAnnounceSize      = 98 // without options
	UDPAnnounceReplySize = 20 // without peers
	UDPScrapeReplySize   = 8  // without entries
	UDPScrapeEntrySize   = 12
	MaxUDPScrape         = 74 // hashes in one request
)

// MaxUDPReply is the longest UDP answer: what passes unfragmented over every IPv6 path (1280 bytes less both headers).
const MaxUDPReply = 1232

// Why a UDP request or reply is refused.
var (
	ErrUDPShort   = errors.New("packet too short")
	ErrUDPEvent   = errors.New("unknown event")
	ErrUDPOptions = errors.New("damaged options")
	ErrUDPScrape  = errors.New("scrape without a whole info hash, or with more than 74")
	ErrUDPReply   = errors.New("reply does not answer the request")
)

// UDPHeader begins every UDP request.
type UDPHeader struct {
	ConnectionID  uint64
	Action        uint32
	TransactionID uint32
}

// ParseUDPHeader reads the first 16 bytes of a request; ok is false when there are fewer.
func ParseUDPHeader(b []byte) (h UDPHeader, ok bool) {
	if len(b) < UDPHeaderSize {
		return h, false
	}
	return UDPHeader{
		ConnectionID:  binary.BigEndian.Uint64(b),
		Action:        binary.BigEndian.Uint32(b[8:]),
		TransactionID: binary.BigEndian.Uint32(b[12:]),
	}, true
}

// UDPAnnounce is the body of an announce request.
type UDPAnnounce struct {
	InfoHash   InfoHash
	PeerID     [20]byte
	Downloaded uint64
	Left       uint64
	Uploaded   uint64
	Event      Event
	IP         [4]byte // zero: the source of the packet
	Key        uint32
	NumWant    int32 // negative: the tracker's default
	Port       uint16
	Options    []byte // BEP 41, checked by ParseUDPAnnounce
}

// ParseUDPAnnounce reads an announce request, header included.
func ParseUDPAnnounce(b []byte) (UDPAnnounce, error) {
	if len(b) < UDPAnnounceSize {
		return UDPAnnounce{}, ErrUDPShort
	}
	event := binary.BigEndian.Uint32(b[80:])
	if event > uint32(EventPaused) {
		return UDPAnnounce{}, ErrUDPEvent
	}
	options := b[UDPAnnounceSize:]
	if !validUDPOptions(options) {
		return UDPAnnounce{}, ErrUDPOptions
	}
	return UDPAnnounce{
		InfoHash:   InfoHash(b[16:]),
		PeerID:     [20]byte(b[36:]),
		Downloaded: binary.BigEndian.Uint64(b[56:]),
		Left:       binary.BigEndian.Uint64(b[64:]),
		Uploaded:   binary.BigEndian.Uint64(b[72:]),
		Event:      Event(event),
		IP:         [4]byte(b[84:]),
		Key:        binary.BigEndian.Uint32(b[88:]),
		NumWant:    int32(binary.BigEndian.Uint32(b[92:])),
		Port:       binary.BigEndian.Uint16(b[96:]),
		Options:    options,
	}, nil
}

// UDPPeerID returns the peer id in an announce request that ParseUDPAnnounce has read, without a copy.
func UDPPeerID(b []byte) []byte { return b[36:56] }

// Option types of BEP 41.
const (
	optionEnd     = 0x00
	optionNop     = 0x01
	optionURLData = 0x02
)

func validUDPOptions(b []byte) bool {
	for len(b) > 0 && b[0] != optionEnd {
		if b[0] == optionNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		b = b[2+int(b[1]):]
	}
	return true
}

// AppendURLData appends the path and query of the announce URL, joined from the
// request's URL data options; nothing when it has none.
func (a *UDPAnnounce) AppendURLData(dst []byte) []byte {
	for b := a.Options; len(b) > 0 && b[0] != optionEnd; {
		if b[0] == optionNop {
			b = b[1:]
			continue
		}
		n := 2 + int(b[1])
		if b[0] == optionURLData {
			dst = append(dst, b[2:n]...)
		}
		b = b[n:]
	}
	return dst
}

// ParseUDPScrape returns how many info hashes a scrape request, header included, asks for: 1 to 74. A remainder shorter than a hash is ignored.
func ParseUDPScrape(b []byte) (n int, err error) {
	if len(b) < UDPHeaderSize {
		return 0, ErrUDPShort
	}
	n = (len(b) - UDPHeaderSize) / len(InfoHash{})
	if n == 0 || n > MaxUDPScrape {
		return 0, ErrUDPScrape
	}
	return n, nil
}

// UDPScrapeHash returns hash i of a scrape request, header included.
func UDPScrapeHash(b []byte, i int) InfoHash { return InfoHash(b[UDPHeaderSize+20*i:]) }

// AppendUDPConnectReply appends the answer to a connect request, 16 bytes.
func AppendUDPConnectReply(b []byte, transaction uint32, connection uint64) []byte {
	return binary.BigEndian.AppendUint64(appendUDPReply(b, ActionConnect, transaction), connection)
}

// AppendUDPAnnounceReply appends the 20 bytes before the peers of an announce reply; interval is in seconds.
func AppendUDPAnnounceReply(b []byte, transaction, interval, leechers, seeders uint32) []byte {
	b = appendUDPReply(b, ActionAnnounce, transaction)
	b = binary.BigEndian.AppendUint32(b, interval)
	b = binary.BigEndian.AppendUint32(b, leechers)
	return binary.BigEndian.AppendUint32(b, seeders)
}

// AppendUDPScrapeReply appends the 8 bytes before the entries of a scrape reply.
func AppendUDPScrapeReply(b []byte, transaction uint32) []byte {
	return appendUDPReply(b, ActionScrape, transaction)
}

// AppendUDPScrapeEntry appends the counts of one torrent, 12 bytes.
func AppendUDPScrapeEntry(b []byte, seeders, completed, leechers uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, seeders)
	b = binary.BigEndian.AppendUint32(b, completed)
	return binary.BigEndian.AppendUint32(b, leechers)
}

// AppendUDPError appends an error reply.
func AppendUDPError(b []byte, transaction uint32, text string) []byte {
	return append(appendUDPReply(b, ActionError, transaction), text...)
}

func appendUDPReply(b []byte, action, transaction uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, action)
	return binary.BigEndian.AppendUint32(b, transaction)
}

// The client's side.

// Append appends the 16 bytes of a request's header; a connect request is nothing else.
func (h *UDPHeader) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.ConnectionID)
	b = binary.BigEndian.AppendUint32(b, h.Action)
	return binary.BigEndian.AppendUint32(b, h.TransactionID)
}

// Append appends the body of an announce request, which follows its header.
func (a *UDPAnnounce) Append(b []byte) []byte {
	b = append(b, a.InfoHash[:]...)
	b = append(b, a.PeerID[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Downloaded)
	b = binary.BigEndian.AppendUint64(b, a.Left)
	b = binary.BigEndian.AppendUint64(b, a.Uploaded)
	b = binary.BigEndian.AppendUint32(b, uint32(a.Event))
	b = append(b, a.IP[:]...)
	b = binary.BigEndian.AppendUint32(b, a.Key)
	b = binary.BigEndian.AppendUint32(b, uint32(a.NumWant))
	b = binary.BigEndian.AppendUint16(b, a.Port)
	return append(b, a.Options...)
}

// AppendURLDataOptions appends the options that carry the path and query of an announce URL (BEP 41), nothing for an empty one.
func AppendURLDataOptions(b []byte, pathAndQuery string) []byte {
	for s := pathAndQuery; s != ""; {
		n := min(len(s), 255)
		b = append(b, optionURLData, byte(n))
		b = append(b, s[:n]...)
		s = s[n:]
	}
	return b
}

// UDPReply is a reply of any action; only the fields of its action are set.
type UDPReply struct {
	Action        uint32
	TransactionID uint32
	ConnectionID  uint64 // connect
	Interval      uint32 // announce, seconds
	Leechers      uint32
	Seeders       uint32
	Body          []byte // announce: compact peers; scrape: entries of 12 bytes; error: text
}

// ParseUDPReply reads a reply.
func ParseUDPReply(b []byte) (UDPReply, error) {
	if len(b) < 8 {
		return UDPReply{}, ErrUDPShort
	}
	r := UDPReply{Action: binary.BigEndian.Uint32(b), TransactionID: binary.BigEndian.Uint32(b[4:])}
	switch r.Action {
	case ActionConnect:
		if len(b) < UDPConnectReplySize {
			return UDPReply{}, ErrUDPShort
		}
		r.ConnectionID = binary.BigEndian.Uint64(b[8:])
	case ActionAnnounce:
		if len(b) < UDPAnnounceReplySize {
			return UDPReply{}, ErrUDPShort
		}
		r.Interval = binary.BigEndian.Uint32(b[8:])
		r.Leechers = binary.BigEndian.Uint32(b[12:])
		r.Seeders = binary.BigEndian.Uint32(b[16:])
		r.Body = b[UDPAnnounceReplySize:]
	case ActionScrape:
		if (len(b)-UDPScrapeReplySize)%UDPScrapeEntrySize != 0 {
			return UDPReply{}, ErrUDPShort
		}
		r.Body = b[UDPScrapeReplySize:]
	case ActionError:
		r.Body = b[8:]
	default:
		return UDPReply{}, fmt.Errorf("%w: action %d", ErrUDPReply, r.Action)
	}
	return r, nil
}

// ScrapeEntry returns the counts of torrent i of a scrape reply.
func (r *UDPReply) ScrapeEntry(i int) (seeders, completed, leechers uint32) {
	b := r.Body[i*UDPScrapeEntrySize:]
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
}
