package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"starling/wire"
)

func (c *Client) announceUDP(ctx context.Context, u *url.URL, a *Announce) (*AnnounceReply, error) {
	body := wire.UDPAnnounce{
		InfoHash:   a.InfoHash,
		PeerID:     a.PeerID,
		Downloaded: a.Downloaded,
		Left:       a.Left,
		Uploaded:   a.Uploaded,
		Event:      a.Event,
		NumWant:    int32(max(a.NumWant, -1)),
		Port:       a.Port,
		Options:    wire.AppendURLDataOptions(nil, u.RequestURI()),
	}
	if a.IP != (netip.Addr{}) {
		if !a.IP.Unmap().Is4() {
			return nil, fmt.Errorf("a UDP announce has room for an IPv4 address only, not for %v", a.IP)
		}
		body.IP = a.IP.Unmap().As4()
	}
	conn, err := c.open(ctx, u)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := c.ask(ctx, conn, wire.ActionAnnounce, body.Append(nil))
	if err != nil {
		return nil, err
	}
	size := wire.Compact6
	if remote, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil && remote.Addr().Unmap().Is4() {
		size = wire.Compact4
	}
	return announceFromUDP(&reply, size)
}

// announceFromUDP makes the answer of an announce reply, whose peers have size bytes each: BEP 15
// says by nothing but the address family of the packet which.
func announceFromUDP(r *wire.UDPReply, size int) (*AnnounceReply, error) {
	peers, err := appendCompact([]Peer{}, r.Body, size)
	if err != nil {
		return nil, err
	}
	complete, incomplete := uint64(r.Seeders), uint64(r.Leechers)
	return &AnnounceReply{Interval: r.Interval, Complete: &complete, Incomplete: &incomplete, Peers: peers}, nil
}

func (c *Client) scrapeUDP(ctx context.Context, u *url.URL, hashes []wire.InfoHash) (*ScrapeReply, error) {
	conn, err := c.open(ctx, u)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var body []byte
	for _, h := range hashes {
		body = append(body, h[:]...)
	}
	reply, err := c.ask(ctx, conn, wire.ActionScrape, body)
	if err != nil {
		return nil, err
	}
	return scrapeFromUDP(&reply, hashes)
}

// scrapeFromUDP makes the answer of a scrape reply, which has one entry for each hash in the order they were asked.
func scrapeFromUDP(r *wire.UDPReply, hashes []wire.InfoHash) (*ScrapeReply, error) {
	if n := len(r.Body) / wire.UDPScrapeEntrySize; n != len(hashes) {
		return nil, answerErrorf("%d entries for %d info hashes", n, len(hashes))
	}
	s := &ScrapeReply{Files: make(map[wire.InfoHash]ScrapeFile, len(hashes))}
	for i, h := range hashes {
		seeders, completed, leechers := r.ScrapeEntry(i)
		s.Files[h] = ScrapeFile{Complete: uint64(seeders), Incomplete: uint64(leechers), Downloaded: uint64(completed)}
	}
	return s, nil
}

func (c *Client) open(ctx context.Context, u *url.URL) (net.Conn, error) {
	if c.dial != nil {
		return c.dial(ctx, "udp", u.Host)
	}
	var d net.Dialer
	return d.DialContext(ctx, "udp", u.Host)
}

// conversation is one request to a UDP tracker, with the connect before it.
type conversation struct {
	conn    net.Conn
	id      uint64 // connection id
	expires time.Time
	ignored int
	last    string
	buf     [1 << 16]byte
}

// errSilent ends a wait in which no answer came.
var errSilent = errors.New("no answer")

// ask sends a request of the given action until it is answered, with a connect before it whenever
// there is no connection id that is fresh. A silent wait costs a try and doubles the next wait, whichever of the two was sent.
func (c *Client) ask(ctx context.Context, conn net.Conn, action uint32, body []byte) (wire.UDPReply, error) {
	// A cancelled context wakes the reader up.
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	v := &conversation{conn: conn}
	wait, tries := c.FirstWait, c.Tries
	if wait == 0 {
		wait = bepFirstWait
	}
	if tries == 0 {
		tries = bepTries
	}
	start := time.Now()
	// A packet sent again keeps its transaction id, so that a late answer to the first one counts.
	connect := wire.UDPHeader{ConnectionID: wire.ProtocolID, TransactionID: transactionID()}
	request := wire.UDPHeader{Action: action, TransactionID: transactionID()}
	for tried := 0; tried < tries; {
		send := request
		send.ConnectionID = v.id
		var payload []byte
		if time.Now().Before(v.expires) {
			payload = body
		} else {
			send = connect
		}
		reply, err := v.exchange(ctx, send, payload, wait)
		switch {
		case err == errSilent:
			tried++
			wait *= 2
		case errors.Is(err, context.DeadlineExceeded):
			return wire.UDPReply{}, v.silence(start, tried+1)
		case err != nil:
			return wire.UDPReply{}, err
		case reply.Action == action:
			return reply, nil
		default:
			v.id, v.expires = reply.ConnectionID, time.Now().Add(connectionID)
			connect.TransactionID = transactionID()
		}
	}
	return wire.UDPReply{}, v.silence(start, tries)
}

func (v *conversation) silence(start time.Time, tries int) *SilenceError {
	return &SilenceError{
		Waited:    time.Since(start),
		Tries:     tries,
		Connected: !v.expires.IsZero(),
		Ignored:   v.ignored,
		Last:      v.last,
	}
}

// exchange sends one packet and waits for the packet that answers it: its transaction id and its
// action, or that of an error. It fails with errSilent when none comes in time.
func (v *conversation) exchange(ctx context.Context, h wire.UDPHeader, body []byte, wait time.Duration) (wire.UDPReply, error) {
	if _, err := v.conn.Write(append(h.Append(nil), body...)); err != nil {
		return wire.UDPReply{}, reason(err)
	}
	v.conn.SetReadDeadline(time.Now().Add(wait))
	for {
		// Looked at after the deadline was set: a context that ended before has its deadline overwritten.
		if err := ctx.Err(); err != nil {
			return wire.UDPReply{}, err
		}
		n, err := v.conn.Read(v.buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if ctx.Err() != nil {
				return wire.UDPReply{}, ctx.Err()
			}
			return wire.UDPReply{}, errSilent
		}
		if err != nil {
			return wire.UDPReply{}, reason(err)
		}
		if n < 8 {
			v.ignored, v.last = v.ignored+1, fmt.Sprintf("length of %d bytes", n)
			continue
		}
		if binary.BigEndian.Uint32(v.buf[4:]) != h.TransactionID {
			v.ignored, v.last = v.ignored+1, "transaction id"
			continue
		}
		return parseUDPReply(v.buf[:n], h.Action)
	}
}

// reason returns what the system said, without the addresses of both ends and the name of the call around it.
func reason(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// parseUDPReply reads a reply to a request of the given action.
func parseUDPReply(b []byte, action uint32) (wire.UDPReply, error) {
	r, err := wire.ParseUDPReply(b)
	switch {
	case err != nil:
		return wire.UDPReply{}, answerErrorf("%d bytes: %v", len(b), err)
	case r.Action == wire.ActionError:
		return wire.UDPReply{}, &FailureError{Reason: string(r.Body)}
	case r.Action != action:
		return wire.UDPReply{}, answerErrorf("action %d where %d was asked", r.Action, action)
	}
	return r, nil
}

func transactionID() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}
