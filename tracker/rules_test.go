package tracker

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/tracker/access"
	"starling/wire"
)

// denying returns rules that deny some torrents.
func denying(hashes ...wire.InfoHash) *access.Rules {
	return new(access.Lists).SetFiles(access.Files{Deny: access.NewHashes(hashes)})
}

// TestPurge fills a tracker with swarms of all sizes, forbids some of them and compares it with one that never had those.
func TestPurge(t *testing.T) {
	for round := range max(fewer(6), 2) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		full, want := newTracker(nil), newTracker(nil)
		sizes := []int{1, 2, 63, 64, 65, 300, 3000}
		var bad []wire.InfoHash
		for i := range 30 {
			h, forbidden := hashOf(i), rng.IntN(2) == 0
			if forbidden {
				bad = append(bad, h)
			}
			for n := range sizes[rng.IntN(len(sizes))] {
				a := Announce{InfoHash: h, Peer: peer4(n), Seeder: rng.IntN(2) == 0}
				if rng.IntN(3) == 0 {
					a.Peer = peer6(n)
				}
				if rng.IntN(3) == 0 {
					a.Event = wire.EventCompleted
				}
				if rng.IntN(9) == 0 {
					a.Event = wire.EventPaused
				}
				full.Announce(epoch, &a, new(Answer))
				if !forbidden {
					want.Announce(epoch, &a, new(Answer))
				}
			}
		}
		full.SetAccess(denying(bad...))
		if round%2 == 0 {
			full.PurgeAll(epoch)
		} else {
			for i := range 30 {
				full.Purge(epoch, hashOf(i))
			}
		}
		got, is := full.Stats(), want.Stats()
		got.Bytes, got.Completed = is.Bytes, is.Completed
		if got != is {
			t.Fatalf("seed %d: after the purge %+v, want %+v", seed, got, is)
		}
		if n := full.AccessCounts().Purged; n != uint64(len(bad)) {
			t.Fatalf("seed %d: %d torrents purged, want %d", seed, n, len(bad))
		}
		for i := range 30 {
			got, known := full.Scrape(hashOf(i))
			if is, there := want.Scrape(hashOf(i)); got != is || known != there {
				t.Fatalf("seed %d: torrent %d: %+v, want %+v", seed, i, got, is)
			}
		}
	}
}

// TestForbidden: whatever way a torrent comes that the rules forbid, nothing of it is stored.
func TestForbidden(t *testing.T) {
	tr := newTracker(func(wire.Record) { t.Error("the other nodes were told") })
	h := hashOf(1)
	tr.SetAccess(denying(h))
	if ans := seen(tr, epoch, h, peer4(1)); ans.Refused != access.DeniedTorrent {
		t.Errorf("an announce was answered %v", ans.Refused)
	}
	r := wire.Record{InfoHash: h, Peer: peer4(1)}
	tr.Apply(epoch, r)
	tr.ApplyAll(epoch, []wire.Record{r, r})
	if tr.Learn(epoch, wire.Tell{InfoHash: h, Downloaded: 7}) {
		t.Error("a tell was news")
	}
	x := wire.Excerpt{Swarms: []wire.Swarm{{InfoHash: h, Downloaded: 7, Members: 1}}, Members: []wire.Member{{Peer: peer4(1)}}}
	tr.Restorer(0).Restore(epoch, 0, &x)
	if tr.Torrents() != 0 {
		t.Error("the torrent was stored")
	}
	if c := tr.AccessCounts(); c != (AccessCounts{Announces: 1, Records: 3, Tells: 1, Restored: 1}) {
		t.Errorf("counted: %+v", c)
	}
	// Who asked under rules that served it, and comes when they are out of force, is refused as well.
	served := denying(hashOf(2))
	var ans Answer
	tr.Announce(epoch, &Announce{InfoHash: h, Peer: peer4(1), Checked: served}, &ans)
	if ans.Refused != access.DeniedTorrent || tr.Torrents() != 0 {
		t.Errorf("old rules: %v", ans.Refused)
	}
	tr.SetAccess(nil)
	tr.ApplyAll(epoch, []wire.Record{r})
	if tr.Torrents() != 1 {
		t.Error("without rules the torrent is not stored")
	}
}

// privateRules wants the passkey some-passkey, denies the torrent 3 and the clients of 198.51.100.0/24 and 2001:db8:66::/48.
func privateRules(t testing.TB, private bool) *access.Rules {
	t.Helper()
	files := access.Files{
		Deny:    access.NewHashes([]wire.InfoHash{{3}}),
		Clients: access.NewPrefixes(netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:66::/48")),
	}
	if private {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte("some-passkey somebody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if files.Keys, _, err = access.ReadKeys(path); err != nil {
			t.Fatal(err)
		}
	}
	return new(access.Lists).SetFiles(files)
}

// TestHTTPRefuses: what the rules forbid is refused with a reason that says so, is counted and stores nothing.
func TestHTTPRefuses(t *testing.T) {
	good, bad := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("198.51.100.5")
	scrape := func(n ...byte) string {
		parts := make([]string, len(n))
		for i := range n {
			parts[i] = "info_hash=%" + hex.EncodeToString(n[i:i+1]) + strings.Repeat("a", 19)
		}
		return "/scrape?" + strings.Join(parts, "&")
	}
	for _, c := range []struct {
		private bool
		from    netip.Addr
		target  string
		want    string // in the answer
		count   string
	}{
		{false, good, announceTarget(3), access.DeniedTorrent.String(), "denied"},
		{false, bad, announceTarget(1), access.DeniedClient.String(), "denied_client"},
		{false, netip.MustParseAddr("2001:db8:66::1"), announceTarget(1), access.DeniedClient.String(), "denied_client"},
		{false, good, announceTarget(1), "8:interval", ""},
		{false, good, scrape(1, 2), "5:files", ""},
		{false, bad, scrape(1), access.DeniedClient.String(), "denied_client"},
		{false, good, "/some-passkey" + announceTarget(1), "there is /announce", "path"},
		{true, good, announceTarget(1), access.NoKey.String(), "passkey"},
		{true, good, "/some-passkey" + announceTarget(1), "8:interval", ""},
		{true, good, "/some-passkez" + announceTarget(1), access.UnknownKey.String(), "passkey"},
		{true, good, "/some-passkey" + announceTarget(3), access.DeniedTorrent.String(), "denied"},
		{true, bad, "/some-passkey" + announceTarget(1), access.DeniedClient.String(), "denied_client"},
		{true, good, scrape(1), access.NoKey.String(), "passkey"},
		{true, good, "/some-passkey" + scrape(1), "5:files", ""},
		{true, good, "/some-passkey/some-passkey" + announceTarget(1), "there is /announce", "path"},
	} {
		x := testHTTP(testConfig)
		x.tracker.SetAccess(privateRules(t, c.private))
		_, body := x.ask(t, c.from, get(c.target))
		if !strings.Contains(body, c.want) {
			t.Errorf("private %v, %s: %q has no %q", c.private, c.target, body, c.want)
		}
		for reason, n := range x.Counts().Refused {
			if want := uint64(len(c.count) / max(len(c.count), 1)); reason == c.count && n != want || reason != c.count && n != 0 {
				t.Errorf("private %v, %s: %d refused as %s", c.private, c.target, n, reason)
			}
		}
		if stored := strings.Contains(body, "interval"); stored != (x.tracker.Torrents() == 1) {
			t.Errorf("private %v, %s: %d torrents stored", c.private, c.target, x.tracker.Torrents())
		}
	}
}

// TestHTTPScrapeLeavesOut: of several torrents the forbidden ones are left out; a scrape of nothing else says why.
func TestHTTPScrapeLeavesOut(t *testing.T) {
	x := testHTTP(testConfig)
	x.tracker.SetAccess(privateRules(t, false))
	from := netip.MustParseAddr("203.0.113.5")
	denied := "info_hash=%03" + strings.Repeat("%00", 19)
	if _, body := x.ask(t, from, get("/scrape?"+denied)); !strings.Contains(body, access.DeniedTorrent.String()) {
		t.Errorf("a scrape of a denied torrent: %q", body)
	}
	if _, body := x.ask(t, from, get("/scrape?"+denied+"&info_hash=%01"+strings.Repeat("%00", 19))); !strings.Contains(body, "5:files") {
		t.Errorf("a scrape of another one, too: %q", body)
	}
}

// TestUDPRefuses does the same over UDP, where no answer is longer than its request.
func TestUDPRefuses(t *testing.T) {
	good, bad := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("198.51.100.5")
	option := func(parts ...string) (b []byte) {
		for _, p := range parts {
			b = append(append(b, 2, byte(len(p))), p...)
		}
		return b
	}
	for _, c := range []struct {
		private bool
		from    netip.Addr
		hash    byte
		options []byte
		want    access.Verdict
	}{
		{false, good, 1, nil, access.Served},
		{false, good, 3, nil, access.DeniedTorrent},
		{false, bad, 1, nil, access.DeniedClient},
		{false, netip.MustParseAddr("::ffff:198.51.100.5"), 1, nil, access.DeniedClient},
		{true, good, 1, nil, access.NoKey},
		{true, good, 1, option("/some-passkey/announce"), access.Served},
		{true, good, 1, append([]byte{1, 1}, option("/some-", "passkey/", "announce?x=y")...), access.Served},
		{true, good, 1, option("/some-passkez/announce"), access.UnknownKey},
		{true, good, 3, option("/some-passkey/announce"), access.DeniedTorrent},
		{true, good, 1, option("/announce"), access.NoKey},
		{true, good, 1, option(strings.Repeat("/", 255), strings.Repeat("a", 255), strings.Repeat("a", 255)), access.NoKey},
	} {
		w := testUDP(testConfig)
		w.tracker.SetAccess(privateRules(t, c.private))
		packet := w.announceRequest(c.from, wire.UDPAnnounce{InfoHash: wire.InfoHash{c.hash}, Port: 6881, Left: 1, NumWant: -1, Options: c.options})
		what := fmt.Sprintf("private %v, torrent %d, %q", c.private, c.hash, c.options)
		answer := w.handle(testStart, c.from, packet, nil)
		if c.want == access.Served {
			if w.tracker.Torrents() != 1 || len(answer) < 8 || answer[3] != byte(wire.ActionAnnounce) {
				t.Errorf("%s: answered %q", what, answer)
			}
			continue
		}
		if string(answer[8:]) != c.want.String() || len(answer) > len(packet) {
			t.Errorf("%s: answered %q", what, answer)
		}
		if n := w.Counts().Refused[refusalNames[refusalOf[c.want]]]; n != 1 || w.tracker.Torrents() != 0 {
			t.Errorf("%s: counted %d, %d torrents stored", what, n, w.tracker.Torrents())
		}
	}
	w := testUDP(testConfig)
	for _, c := range []struct {
		private bool
		from    netip.Addr
		want    access.Verdict
	}{{true, good, access.NoKeyInScrape}, {false, bad, access.DeniedClient}} {
		w.tracker.SetAccess(privateRules(t, c.private))
		packet := w.request(c.from, wire.ActionScrape, scrapeBody(wire.InfoHash{1}))
		if answer := w.handle(testStart, c.from, packet, nil); string(answer[8:]) != c.want.String() || len(answer) > len(packet) {
			t.Errorf("a scrape was answered %q", answer)
		}
	}
}

// TestRulesAllocate: asking them does not.
func TestRulesAllocate(t *testing.T) {
	w, from := testUDP(testConfig), netip.MustParseAddr("203.0.113.5")
	w.tracker.SetAccess(privateRules(t, true))
	key := append([]byte{2, 22}, "/some-passkey/announce"...)
	packet := w.announceRequest(from, wire.UDPAnnounce{InfoHash: wire.InfoHash{1}, Port: 6881, Left: 1, NumWant: -1, Options: key})
	dst := make([]byte, 0, wire.MaxUDPReply)
	if n := testing.AllocsPerRun(100, func() { w.handle(testStart, from, packet, dst) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
