package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"starling/wire"
)

// fakeConn is a UDP conversation in memory: a pipe keeps packets whole as long as they are read into a buffer that holds them.
type fakeConn struct {
	net.Conn
	remote netip.AddrPort
}

func (c fakeConn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.remote) }

// A script answers packet number n of a conversation; nil: the packet, or its answer, is lost.
type script func(n int, h wire.UDPHeader, packet []byte) []byte

// scripted returns a client whose trackers follow the script, and the log of when which action was asked.
func scripted(s script) (*Client, *[]string) {
	log := new([]string)
	start := time.Now()
	return &Client{dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			buf := make([]byte, 4096)
			for n := 0; ; n++ {
				size, err := there.Read(buf)
				if err != nil {
					return
				}
				h, _ := wire.ParseUDPHeader(buf[:size])
				*log = append(*log, [...]string{"connect", "announce", "scrape"}[h.Action]+" "+time.Since(start).String())
				if reply := s(n, h, buf[:size]); reply != nil {
					there.Write(reply)
				}
			}
		}()
		return fakeConn{here, netip.MustParseAddrPort("192.0.2.1:6969")}, nil
	}}, log
}

// honest answers everything.
func honest(_ int, h wire.UDPHeader, packet []byte) []byte {
	switch {
	case h.Action == wire.ActionConnect && h.ConnectionID == wire.ProtocolID:
		return wire.AppendUDPConnectReply(nil, h.TransactionID, 77)
	case h.Action == wire.ActionAnnounce && h.ConnectionID == 77:
		return append(wire.AppendUDPAnnounceReply(nil, h.TransactionID, 1800, 2, 3), 127, 0, 0, 1, 0x1a, 0xe1)
	case h.Action == wire.ActionScrape && h.ConnectionID == 77:
		b := wire.AppendUDPScrapeReply(nil, h.TransactionID)
		for range (len(packet) - wire.UDPHeaderSize) / 20 {
			b = wire.AppendUDPScrapeEntry(b, 1, 2, 3)
		}
		return b
	}
	return wire.AppendUDPError(nil, h.TransactionID, "what?")
}

var testURL, _ = ParseURL("udp://t.example:6969")

func TestUDPAnnounce(t *testing.T) {
	a := &Announce{
		InfoHash: testHash, PeerID: [20]byte{1}, Port: 6881, Uploaded: 1, Downloaded: 2, Left: 3,
		Event: wire.EventStarted, NumWant: -5, IP: netip.MustParseAddr("10.0.0.1"),
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
			if h.Action == wire.ActionAnnounce {
				got, err := wire.ParseUDPAnnounce(packet)
				path := string(got.AppendURLData(nil))
				got.Options = nil
				want := wire.UDPAnnounce{
					InfoHash: testHash, PeerID: [20]byte{1}, Port: 6881, Uploaded: 1, Downloaded: 2, Left: 3,
					Event: wire.EventStarted, NumWant: -1, IP: [4]byte{10, 0, 0, 1},
				}
				if err != nil || !reflect.DeepEqual(got, want) || path != "/announce?passkey=x" {
					t.Errorf("the tracker got %+v, %q, %v", got, path, err)
				}
			}
			return honest(n, h, packet)
		})
		u := mustParse(t, "udp://t.example:6969/announce?passkey=x")
		got, err := c.Announce(t.Context(), u, a)
		if err != nil || got.Interval != 1800 || *got.Complete != 3 || *got.Incomplete != 2 ||
			len(got.Peers) != 1 || got.Peers[0].String() != "127.0.0.1:6881" {
			t.Errorf("%+v, %v", got, err)
		}
		a.IP = netip.MustParseAddr("fd00::1")
		if _, err := c.Announce(t.Context(), u, a); err == nil {
			t.Error("an IPv6 address in a UDP announce is accepted")
		}
	})
}

func TestUDPScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(honest)
		s, err := c.Scrape(t.Context(), testURL, []wire.InfoHash{{1}, {2}})
		if err != nil || len(s.Files) != 2 || s.Files[wire.InfoHash{2}] != (ScrapeFile{1, 3, 2, nil}) {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := c.Scrape(t.Context(), testURL, make([]wire.InfoHash, wire.MaxUDPScrape+1)); err == nil {
			t.Error("75 hashes fit into a packet")
		}
		short, _ := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
			if h.Action == wire.ActionScrape {
				packet = packet[:len(packet)-20]
			}
			return honest(n, h, packet)
		})
		var ae *AnswerError
		if _, err := short.Scrape(t.Context(), testURL, []wire.InfoHash{{1}, {2}}); !errors.As(err, &ae) {
			t.Errorf("an entry too few: %v", err)
		}
	})
}

func TestUDPRetransmission(t *testing.T) {
	for _, test := range []struct {
		name string
		lost func(n int) bool
		want string
	}{
		{"nothing is lost", func(int) bool { return false }, "connect 0s, announce 0s"},
		{"two connects", func(n int) bool { return n < 2 }, "connect 0s, connect 15s, connect 45s, announce 45s"},
		{"two announces", func(n int) bool { return n == 1 || n == 2 }, "connect 0s, announce 0s, announce 15s, announce 45s"},
		{"one of each", func(n int) bool { return n == 0 || n == 2 }, "connect 0s, connect 15s, announce 15s, announce 45s"},
		{"three announces, and the connection id is too old", func(n int) bool { return n >= 1 && n <= 3 },
			"connect 0s, announce 0s, announce 15s, announce 45s, connect 1m45s, announce 1m45s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, log := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
				if test.lost(n) {
					return nil
				}
				return honest(n, h, packet)
			})
			_, err := c.Announce(t.Context(), testURL, &Announce{})
			if got := strings.Join(*log, ", "); err != nil || got != test.want {
				t.Errorf("%s: %s, %v; want %s", test.name, got, err, test.want)
			}
		})
	}
}

func TestUDPSilence(t *testing.T) {
	for _, test := range []struct {
		client    Client
		deadline  time.Duration
		connected bool
		want      SilenceError
	}{
		{Client{}, 0, false, SilenceError{Waited: 7665 * time.Second, Tries: 9}},
		{Client{FirstWait: time.Second, Tries: 3}, 0, false, SilenceError{Waited: 7 * time.Second, Tries: 3}},
		{Client{FirstWait: time.Second, Tries: 3}, 0, true, SilenceError{Waited: 7 * time.Second, Tries: 3, Connected: true}},
		{Client{}, 20 * time.Second, false, SilenceError{Waited: 20 * time.Second, Tries: 2}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
				if test.connected && h.Action == wire.ActionConnect {
					return honest(n, h, packet)
				}
				return nil
			})
			c.FirstWait, c.Tries = test.client.FirstWait, test.client.Tries
			ctx := t.Context()
			if test.deadline != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
				defer cancel()
			}
			_, err := c.Announce(ctx, testURL, &Announce{})
			var se *SilenceError
			if !errors.As(err, &se) || *se != test.want {
				t.Errorf("%v, want %v", err, &test.want)
			}
		})
	}
}

func TestUDPCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(func(int, wire.UDPHeader, []byte) []byte { return nil })
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(20*time.Second, cancel)
		_, err := c.Announce(ctx, testURL, &Announce{})
		if !errors.Is(err, context.Canceled) || time.Since(start) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Packets of another transaction, or too short to have one, are left aside, and the wait goes on as long as it would have.
func TestUDPStrayPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
			switch n {
			case 0:
				return wire.AppendUDPConnectReply(nil, h.TransactionID+1, 66)
			case 1:
				return []byte{0, 0, 0, 0, 1, 2, 3}
			}
			return honest(n, h, packet)
		})
		_, err := c.Announce(t.Context(), testURL, &Announce{})
		if got := strings.Join(*log, ", "); err != nil || got != "connect 0s, connect 15s, connect 45s, announce 45s" {
			t.Errorf("%s, %v", got, err)
		}
		c, _ = scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
			return wire.AppendUDPError(nil, h.TransactionID-1, "not yours")
		})
		c.FirstWait, c.Tries = time.Second, 2
		_, err = c.Announce(t.Context(), testURL, &Announce{})
		if err == nil || err.Error() != "no answer in 3s, 2 tries; 2 packets ignored, the last for its transaction id" {
			t.Errorf("%v", err)
		}
	})
}

func TestUDPAnswersThatAreErrors(t *testing.T) {
	var ae *AnswerError
	var fe *FailureError
	reply := func(h wire.UDPHeader, n int) []byte {
		return append(wire.AppendUDPAnnounceReply(nil, h.TransactionID, 1800, 2, 3), make([]byte, n)...)
	}
	for name, test := range map[string]struct {
		answer func(h wire.UDPHeader) []byte
		target any
	}{
		"an error":              {func(h wire.UDPHeader) []byte { return wire.AppendUDPError(nil, h.TransactionID, "gone") }, &fe},
		"half a peer":           {func(h wire.UDPHeader) []byte { return reply(h, 9) }, &ae},
		"19 bytes":              {func(h wire.UDPHeader) []byte { return reply(h, 0)[:19] }, &ae},
		"8 bytes":               {func(h wire.UDPHeader) []byte { return reply(h, 0)[:8] }, &ae},
		"an unknown action":     {func(h wire.UDPHeader) []byte { return append([]byte{0, 0, 0, 9}, reply(h, 0)[4:]...) }, &ae},
		"an answer to a scrape": {func(h wire.UDPHeader) []byte { return wire.AppendUDPScrapeReply(nil, h.TransactionID) }, &ae},
		"a connect reply": {func(h wire.UDPHeader) []byte {
			return wire.AppendUDPConnectReply(nil, h.TransactionID, 1)
		}, &ae},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scripted(func(n int, h wire.UDPHeader, packet []byte) []byte {
				if h.Action == wire.ActionConnect {
					return honest(n, h, packet)
				}
				return test.answer(h)
			})
			if _, err := c.Announce(t.Context(), testURL, &Announce{}); !errors.As(err, test.target) {
				t.Errorf("%s: %v, want a %T", name, err, test.target)
			}
		})
	}
}

// Over real sockets of both families, with a packet of a stranger in between.
func TestUDPOverLoopback(t *testing.T) {
	for address, size := range map[string]int{"127.0.0.1:0": wire.Compact4, "[::1]:0": wire.Compact6} {
		server, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Logf("no %s here: %v", address, err)
			continue
		}
		defer server.Close()
		stranger, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		go func() {
			buf := make([]byte, 4096)
			for n := 0; ; n++ {
				size, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				h, _ := wire.ParseUDPHeader(buf[:size])
				stranger.WriteTo(wire.AppendUDPError(nil, h.TransactionID, "from a stranger"), from)
				reply := honest(n, h, buf[:size])
				if h.Action == wire.ActionAnnounce {
					reply = append(reply[:wire.UDPAnnounceReplySize], make([]byte, 18)...)
				}
				server.WriteTo(reply, from)
			}
		}()
		u := mustParse(t, "udp://"+server.LocalAddr().String())
		a, err := new(Client).Announce(t.Context(), u, &Announce{})
		if err != nil || len(a.Peers) != 18/size {
			t.Errorf("%s: %+v, %v", address, a, err)
		}
	}
}

func TestUDPConnectionRefused(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, err = new(Client).Announce(t.Context(), mustParse(t, "udp://"+server.LocalAddr().String()), &Announce{})
	if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connection refused" {
		t.Errorf("%v", err)
	}
}
