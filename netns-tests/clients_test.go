package netnstests

import (
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

// A program is a BitTorrent client of somebody else: how it is started on a
// host, with its files in a directory, to seed what is there or to fetch it.
type program struct {
	name, pkg string
	start     func(h *host, dir, torrent, scheme string)
}

var (
	transmission = program{"transmission-daemon", "transmission-daemon", startTransmission}
	aria2        = program{"aria2c", "aria2", startAria2}
)

// TestRealClients: a seeder that knows only tracker a and a leecher that knows
// only tracker b. Whatever else clients find each other by is turned off, and
// the torrent is private, so they can meet in one way only:
//
//	seeder                           leecher
//	   | announce            announce | ^ the seeder's address
//	   v                              v |
//	   a ---------- record ----------> b
func TestRealClients(t *testing.T) {
	for _, c := range []struct {
		scheme          string
		seeder, leecher program
	}{
		{"http", transmission, aria2},
		{"http", aria2, transmission},
		{"udp", transmission, aria2},
		{"udp", aria2, transmission},
	} {
		t.Run(fmt.Sprintf("%s, %s to %s", c.scheme, c.seeder.name, c.leecher.name), func(t *testing.T) {
			require(t, c.seeder.name, c.seeder.pkg)
			require(t, c.leecher.name, c.leecher.pkg)
			n := newNetwork(t, "a", "b", "s", "l")
			a, b := n.hosts["a"].serve(), n.hosts["b"].serve()
			data := content()
			source, target := n.clientDir("seeder"), n.clientDir("leecher")
			if err := os.WriteFile(filepath.Join(source, "content"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			c.seeder.start(n.hosts["s"], source, writeTorrent(t, source, data, announceURL(c.scheme, a.ip4)), c.scheme)
			b.holds(1, 0)
			c.leecher.start(n.hosts["l"], target, writeTorrent(t, target, data, announceURL(c.scheme, b.ip4)), c.scheme)
			eventually(t, "the download", func() error {
				got, err := os.ReadFile(filepath.Join(target, "content"))
				if err == nil && !bytes.Equal(got, data) {
					err = errors.New("not all of it is there")
				}
				return err
			})
			n.onlyAsked(n.hosts["s"], a)
			n.onlyAsked(n.hosts["l"], b)
		})
	}
}

// onlyAsked fails when a client sent datagrams to anyone but its tracker.
func (n *network) onlyAsked(client *host, tracker *node) {
	n.t.Helper()
	to := netip.AddrPortFrom(tracker.ip4, 6969)
	for _, f := range n.wire.all(func(f frame) bool { return f.src.Addr() == client.ip4 && f.dst != to }) {
		n.t.Errorf("%s sent %d bytes to %s: it has other ways to find peers", client.name, len(f.payload), f.dst)
	}
}

// clientDir makes a directory for a client's files.
func (n *network) clientDir(name string) string {
	dir := filepath.Join(n.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// content is what is shared: some pieces and a bit.
func content() []byte {
	b := make([]byte, 1<<20+12345)
	rand.NewChaCha8([32]byte{2}).Read(b)
	return b
}

func announceURL(scheme string, tracker netip.Addr) string {
	return fmt.Sprintf("%s://%s/announce", scheme, netip.AddrPortFrom(tracker, 6969))
}

// writeTorrent writes the file that describes data and names one tracker.
func writeTorrent(t *testing.T, dir string, data []byte, announce string) string {
	t.Helper()
	const pieceLength = 1 << 16
	var pieces []byte
	for piece := range slices.Chunk(data, pieceLength) {
		sum := sha1.Sum(piece)
		pieces = append(pieces, sum[:]...)
	}
	raw, err := bencode.Marshal(map[string]any{"announce": announce, "info": map[string]any{
		"length": len(data), "name": "content", "piece length": pieceLength, "pieces": string(pieces), "private": 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "content.torrent")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// startTransmission has transmission-daemon find the torrent in a directory it
// watches.
func startTransmission(h *host, dir, torrent, _ string) {
	h.net.t.Helper()
	settings, err := json.Marshal(map[string]any{
		"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
		"port-forwarding-enabled": false, "rpc-enabled": false, "ratio-limit-enabled": false,
		"download-dir": dir, "incomplete-dir-enabled": false, "rename-partial-files": false,
		"watch-dir": filepath.Dir(torrent), "watch-dir-enabled": true, "start-added-torrents": true,
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "settings.json"), settings, 0o644)
	}
	if err != nil {
		h.net.t.Fatal(err)
	}
	h.start(h.name+".log", "transmission-daemon", "--foreground", "--config-dir", dir, "--log-debug")
}

// startAria2 has aria2c look at what is there first, and seed when it has all.
// It only speaks to UDP trackers from the socket of its hash table, so that is
// on for them: it knows no node to ask and leaves private torrents out of it.
func startAria2(h *host, dir, torrent, scheme string) {
	h.net.t.Helper()
	h.start(h.name+".log", "aria2c", "--no-conf", fmt.Sprintf("--enable-dht=%t", scheme == "udp"), "--dht-file-path="+filepath.Join(dir, "dht"),
		"--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--check-integrity=true",
		"--file-allocation=none", "--seed-ratio=0", "--summary-interval=0", "--dir="+dir, torrent)
}
