package netnstests

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/anacrolix/torrent/bencode"
)

// What clients say and are told, written against the BEPs and apart from the
// program's own packages.

// An answer is what an announce was told.
type answer struct {
	Failure    string `bencode:"failure reason"`
	Interval   int64  `bencode:"interval"`
	Complete   int64  `bencode:"complete"`
	Incomplete int64  `bencode:"incomplete"`
	Downloaded int64  `bencode:"downloaded"`
	Compact4   string `bencode:"peers"`
	Compact6   string `bencode:"peers6"`
}

// peers lists all peers of an answer, sorted.
func (a answer) peers() (list []netip.AddrPort) {
	take := func(b string, size int) {
		for ; len(b) >= size+2; b = b[size+2:] {
			addr, _ := netip.AddrFromSlice([]byte(b[:size]))
			list = append(list, netip.AddrPortFrom(addr, binary.BigEndian.Uint16([]byte(b[size:]))))
		}
	}
	take(a.Compact4, 4)
	take(a.Compact6, 16)
	slices.SortFunc(list, netip.AddrPort.Compare)
	return list
}

// A peer is a client on a host that announces one torrent.
type peer struct {
	*host
	hash string // 40 hex digits
	port uint16
}

// hash makes an info hash, in hexadecimal, from a number.
func hash(n int) string { return fmt.Sprintf("%040x", 0xabcdef0000+n) }

// addr4 and addr6 are where others find the peer.
func (p peer) addr4() netip.AddrPort { return netip.AddrPortFrom(p.ip4, p.port) }
func (p peer) addr6() netip.AddrPort { return netip.AddrPortFrom(p.ip6, p.port) }

// announce tells the tracker of a node over HTTP and IPv4, by the address
// given, that the peer is there; left 0 makes it a seeder, an event may be
// empty.
func (p peer) announce(at netip.Addr, left int, event string) answer {
	p.net.t.Helper()
	raw, err := hex.DecodeString(p.hash)
	if err != nil {
		p.net.t.Fatal(err)
	}
	query := url.Values{
		"info_hash": {string(raw)}, "peer_id": {"-NN0001-012345678901"}, "port": {strconv.Itoa(int(p.port))},
		"uploaded": {"0"}, "downloaded": {"0"}, "left": {strconv.Itoa(left)}, "compact": {"1"},
	}
	if event != "" {
		query.Set("event", event)
	}
	var a answer
	if err := p.get(at, "/announce", query, &a); err != nil || a.Failure != "" {
		p.net.t.Fatalf("announce of %s at %s: %v %s", p.name, at, err, a.Failure)
	}
	return a
}

// get asks a tracker over HTTP and reads the bencoded answer into v.
func (h *host) get(at netip.Addr, path string, query url.Values, v any) error {
	resp, err := h.httpClient().Get("http://" + netip.AddrPortFrom(at, 6969).String() + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %w", resp.Status, err)
	}
	return bencode.Unmarshal(body, v)
}

// httpClient makes connections from the host, a new one for each request.
func (h *host) httpClient() *http.Client {
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = h.in(func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   patience,
	}
}

// scrape asks a tracker for the counts of one torrent, over HTTP.
func (h *host) scrape(at netip.Addr, hash string) (complete, incomplete, downloaded int64, err error) {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return 0, 0, 0, err
	}
	var a struct {
		Failure string `bencode:"failure reason"`
		Files   map[string]struct {
			Complete   int64 `bencode:"complete"`
			Incomplete int64 `bencode:"incomplete"`
			Downloaded int64 `bencode:"downloaded"`
		} `bencode:"files"`
	}
	if err := h.get(at, "/scrape", url.Values{"info_hash": {string(raw)}}, &a); err != nil {
		return 0, 0, 0, err
	}
	f := a.Files[string(raw)]
	if a.Failure != "" {
		err = errors.New(a.Failure)
	}
	return f.Complete, f.Incomplete, f.Downloaded, err
}

// A udpClient speaks BEP 15 with one tracker from one socket.
type udpClient struct {
	host *host
	conn net.Conn
	id   [8]byte // the connection id the tracker gave
}

// dialUDP connects a client on the host to a tracker, which both may be of
// either family.
func (h *host) dialUDP(at netip.Addr) *udpClient {
	h.net.t.Helper()
	c := &udpClient{host: h}
	err := h.in(func() (err error) {
		c.conn, err = net.Dial("udp", netip.AddrPortFrom(at, 6969).String())
		return err
	})
	if err != nil {
		h.net.t.Fatal(err)
	}
	h.net.t.Cleanup(func() { c.conn.Close() })
	connect := binary.BigEndian.AppendUint64(nil, 0x41727101980)
	copy(c.id[:], c.ask(append(connect, 0, 0, 0, 0, 0, 0, 0, 7)))
	return c
}

// ask sends a request and returns the answer behind action and transaction,
// which must be the request's. It asks again after a while, as clients do.
func (c *udpClient) ask(request []byte) []byte {
	c.host.net.t.Helper()
	b := make([]byte, 2048)
	for range 3 {
		if _, err := c.conn.Write(request); err != nil {
			c.host.net.t.Fatal(err)
		}
		c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.conn.Read(b)
		if err != nil {
			continue
		}
		if n < 8 || string(b[:8]) != string(request[8:16]) {
			c.host.net.t.Fatalf("asked % x, answered % x", request, b[:n])
		}
		return b[8:n]
	}
	c.host.net.t.Fatalf("no answer to % x", request[:16])
	return nil
}

// announce tells the tracker of a peer and returns what it says; event is 0
// none, 1 completed, 2 started, 3 stopped.
func (c *udpClient) announce(hash string, port uint16, left uint64, event uint32) answer {
	c.host.net.t.Helper()
	raw, err := hex.DecodeString(hash)
	if err != nil {
		c.host.net.t.Fatal(err)
	}
	b := append(c.id[:len(c.id):len(c.id)], 0, 0, 0, 1, 0, 0, 0, 8)
	b = append(append(b, raw...), "-NN0001-012345678901"...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, left)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint32(b, event)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	b = binary.BigEndian.AppendUint16(b, port)
	got := c.ask(b)
	if len(got) < 12 {
		c.host.net.t.Fatalf("an answer of %d bytes", len(got)+8)
	}
	a := answer{
		Interval:   int64(binary.BigEndian.Uint32(got)),
		Incomplete: int64(binary.BigEndian.Uint32(got[4:])),
		Complete:   int64(binary.BigEndian.Uint32(got[8:])),
	}
	if c.conn.RemoteAddr().(*net.UDPAddr).IP.To4() != nil {
		a.Compact4 = string(got[12:])
	} else {
		a.Compact6 = string(got[12:])
	}
	return a
}
