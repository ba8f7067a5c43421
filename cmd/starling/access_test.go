package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync/edits"
	"starling/tracker"
	"starling/tracker/access"
	"starling/tracker/client"
	"starling/wire"
)

// hexA is the info hash aaaaaaaaaaaaaaaaaaaa.
var hexA = strings.Repeat("61", 20)

// announceTo announces a client of the torrent hexA over HTTP, under a prefix of the path, and returns the answer.
func announceTo(t *testing.T, addr, prefix string, port int) string {
	t.Helper()
	_, body := request(t, "GET", addr, fmt.Sprintf("%s/announce?info_hash=%s&left=1&port=%d", prefix, strings.Repeat("a", 20), port))
	return body
}

// entryOf asks for an entry of a list.
func entryOf(t *testing.T, body string) (a entryAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return a
}

// TestListsShared denies a torrent at one node of a keyed cluster: all of them purge and refuse it, also those that are started anew with what they kept or with
// nothing, until it is taken off the list at another one.
func TestListsShared(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("A", 43)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	group, dirs := testGroup().String(), []string{t.TempDir(), t.TempDir()}
	start := func(flags ...string) *serving {
		return serve(t, append(flags, "--cluster-key-file", key, "--livesync-interface", "lo", "--livesync-node", "127.0.0.0/8", "--livesync-group", group, "--livesync-flush", "1ms")...)
	}
	refuses := func(s *serving) bool {
		return strings.Contains(announceTo(t, s.HTTP[0], "", 6999), access.DeniedTorrent.String())
	}
	purged := func(s *serving) bool { return refuses(s) && nodeStatusOf(t, s.Admin).Torrents == 0 } // the status may be one of a moment ago
	a, b := start("--state-dir", dirs[0]), start("--state-dir", dirs[1])
	for i, s := range []*serving{a, b} {
		await(t, "both are ready", func() bool { return nodeStatusOf(t, s.Admin).Ready })
		if body := announceTo(t, s.HTTP[0], "", 6881+i); strings.Contains(body, "failure") {
			t.Fatal(body)
		}
	}
	answer := entryOf(t, must(t, 200, "PUT", a.Admin, "/api/v1/deny/"+hexA+"?reason=because"))
	if !answer.Listed || !*answer.Shared || !*answer.Kept || answer.Note != "" || answer.Change.Reason != "because" || answer.Change.Until != nil {
		t.Errorf("denied: %+v", answer)
	}
	if !refuses(a) {
		t.Error("the node that was asked does not refuse the torrent at once")
	}
	await(t, "it has purged it", func() bool { return purged(a) })
	await(t, "the other node refuses it", func() bool { return purged(b) })
	b.wait(t)
	b = start("--state-dir", dirs[1])
	if !refuses(b) {
		t.Error("a node that was started anew forgot it")
	}
	c := start()
	await(t, "a node that begins with nothing refuses it", func() bool { return purged(c) })
	answer = entryOf(t, must(t, 200, "DELETE", b.Admin, "/api/v1/deny/"+hexA))
	if answer.Listed || !*answer.Shared || answer.Change.Until == nil {
		t.Errorf("taken off: %+v", answer)
	}
	for _, s := range []*serving{a, b, c} {
		await(t, "it is served again", func() bool { return !refuses(s) })
	}
	audit := func(dir string) (lines []auditLine) {
		f, err := os.Open(filepath.Join(dir, "audit.log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var line auditLine
			if err := json.Unmarshal(s.Bytes(), &line); err != nil {
				return nil // it is being written
			}
			lines = append(lines, line)
		}
		return lines
	}
	await(t, "both changes are in both logs", func() bool { return len(audit(dirs[0])) == 2 && len(audit(dirs[1])) == 2 })
	first, second := audit(dirs[0]), audit(dirs[1])
	if x := first[0]; x.List != "deny" || x.Op != "add" || x.Key != hexA || x.Reason != "because" || x.Node != a.TrackerID || x.Who == nil || !strings.HasPrefix(x.Who.Address, "127.0.0.1:") {
		t.Errorf("logged where it was made: %+v", x)
	}
	if x := second[0]; x.Op != "add" || x.Node != a.TrackerID || x.Who != nil || !x.Time.Equal(first[0].Time) {
		t.Errorf("logged elsewhere: %+v", x)
	}
}

// TestListsAlone: without a cluster key and a state directory a change is made here, and the answer says that nobody else knows and nothing is kept.
func TestListsAlone(t *testing.T) {
	n := testNode(t, nil)
	w := change(n, "PUT", "/api/v1/deny-client/198.51.100.0/24", "")
	answer := entryOf(t, w.Body.String())
	if w.Code != 200 || !answer.Listed || *answer.Shared || *answer.Kept || !strings.Contains(answer.Note, "only this node knows") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if v := n.tracker.Access().Client(netip.MustParseAddr("198.51.100.7")); v != access.DeniedClient {
		t.Errorf("the client is %v", v)
	}
	change(n, "DELETE", "/api/v1/deny-client/198.51.100.0/24", "")
	if v := n.tracker.Access().Client(netip.MustParseAddr("198.51.100.7")); v != access.Served {
		t.Errorf("the client is %v then", v)
	}
}

// TestListRequests: whatever is wrong with a request changes nothing, and is said.
func TestListRequests(t *testing.T) {
	n := testNode(t, nil)
	for _, c := range []struct {
		method, path string
		code         int
		says         string
	}{
		{"PUT", "/api/v1/deny/" + hexA[1:], 400, "40 or 64"},
		{"PUT", "/api/v1/deny/" + hexA + "?untill=2099-01-01", 400, "untill: unknown"},
		{"PUT", "/api/v1/deny/" + hexA + "?until=tomorrow", 400, "until"},
		{"PUT", "/api/v1/deny/" + hexA + "?until=2020-01-01", 400, "no day to come"},
		{"PUT", "/api/v1/deny/" + hexA + "?for=1h&until=2099-01-01", 400, "one of the two"},
		{"PUT", "/api/v1/deny/" + hexA + "?for=-1h", 400, "no"},
		{"PUT", "/api/v1/deny/" + hexA + "?reason=a&reason=b", 400, "2 times"},
		{"PUT", "/api/v1/deny/" + hexA + "?reason=%0a", 400, "printable"},
		{"PUT", "/api/v1/deny-client/198.51.100.1/24", 400, "198.51.100.0/24"},
		{"PUT", "/api/v1/allow/" + hexA, 409, "--allow FILE"},
		{"GET", "/api/v1/allow", 409, "--allow FILE"},
		{"PUT", "/api/v1/passkeys/some-passkey", 409, "--passkeys FILE"},
		{"GET", "/api/v1/deny?limit=0", 400, "between 1 and 1000"},
		{"GET", "/api/v1/deny?after=x", 400, "after"},
		{"GET", "/api/v1/deny/x", 400, "info hash"},
		{"GET", "/api/v1/deny/" + hexA, 200, `"listed":false`},
		{"GET", "/api/v1/deny", 200, `"entries":[]`},
		{"DELETE", "/api/v1/deny/" + hexA + strings.Repeat("0", 24), 200, `"key":"` + hexA + `"`},
		{"PUT", "/api/v1/deny", 400, "no entry"},
		{"DELETE", "/api/v1/deny/", 400, "no entry"},
		{"PUT", "/api/v1/deny\n" + hexA + "0\n", 400, "40 or 64"},
		{"PUT", "/api/v1/deny\n" + hexA + strings.Repeat("\n", 300), 400, "256"},
		{"PUT", "/api/v1/deny/" + hexA + "\n" + hexA, 400, "two entries"},
		{"DELETE", "/api/v1/deny?reason=body\n" + hexA + "\r\n", 200, `"key":"` + hexA + `"`},
	} {
		path, body, _ := strings.Cut(c.path, "\n")
		w := change(n, c.method, path, body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if n.lists.machine.Len(edits.Deny) != 1 {
		t.Errorf("%d entries", n.lists.machine.Len(edits.Deny))
	}
	for i := range 25 {
		change(n, "PUT", fmt.Sprintf("/api/v1/deny/%040x", i), "")
	}
	seen, after := map[string]bool{}, ""
	for range 10 {
		var page listAnswer
		if err := json.Unmarshal(change(n, "GET", "/api/v1/deny?limit=7"+after, "").Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			seen[e.Key] = true
		}
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
	}
	if len(seen) != 26 {
		t.Errorf("%d entries on all pages", len(seen))
	}
}

// TestPrivateMode: who has a passkey is served over HTTP and UDP, until it is revoked; keys are shown nowhere.
func TestPrivateMode(t *testing.T) {
	file, dir := filepath.Join(t.TempDir(), "keys"), t.TempDir()
	if err := os.WriteFile(file, []byte("# users\nalice-passkey Alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--passkeys", file, "--state-dir", dir, "--livesync-interface", "none")
	says := func(prefix, want string) {
		t.Helper()
		if body := announceTo(t, s.HTTP[0], prefix, 6881); !strings.Contains(body, want) {
			t.Errorf("%s: %q has no %q", prefix, body, want)
		}
	}
	says("", access.NoKey.String())
	says("/bob-passkey", access.UnknownKey.String())
	says("/alice-passkey", "8:interval")
	answer := entryOf(t, must(t, 200, "PUT", s.Admin, "/api/v1/passkeys/bob-passkey?name=Bob&for=1h"))
	if !answer.Listed || answer.InFile || answer.Change.Reason != "Bob" || answer.Change.Until == nil {
		t.Errorf("added: %+v", answer)
	}
	says("/bob-passkey", "8:interval")
	if !strings.Contains(answer.Note, "proxies may log") {
		t.Errorf("a passkey in the path: %q", answer.Note)
	}
	req, err := http.NewRequest("DELETE", "http://"+s.Admin+"/api/v1/passkeys", strings.NewReader("alice-passkey\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, body := answerTo(t, req)
	if answer = entryOf(t, body); strings.Contains(answer.Note, "proxies") {
		t.Errorf("revoked: %q", answer.Note)
	}
	if answer.Listed || !answer.InFile || answer.Change.Until != nil {
		t.Errorf("revoked: %+v", answer)
	}
	says("/alice-passkey", access.RevokedKey.String())
	must(t, 200, "DELETE", s.Admin, "/api/v1/passkeys/"+answer.Key[:7]+access.DigestOf([]byte("bob-passkey")).String())
	says("/bob-passkey", access.RevokedKey.String())
	u, err := client.ParseURL("udp://" + s.UDP[0] + "/announce")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var c client.Client
	_, err = c.Announce(ctx, u, &client.Announce{InfoHash: wire.InfoHash{1}, Port: 6881, Left: 1})
	if err == nil || !strings.Contains(err.Error(), access.NoKey.String()) {
		t.Errorf("over UDP without a passkey: %v", err)
	}
	shown := must(t, 200, "GET", s.Admin, "/api/v1/passkeys") + must(t, 200, "GET", s.Admin, "/metrics") +
		must(t, 200, "GET", s.Admin, "/api/v1/status") + must(t, 200, "GET", s.Admin, "/api/v1/events")
	log, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "lists.edits"))
	if err != nil {
		t.Fatal(err)
	}
	if all := shown + string(log) + string(kept); strings.Contains(all, "-passkey") || !strings.Contains(all, "digest:") {
		t.Error("a passkey is shown")
	}
}

// TestListFiles: a file that changes is read again, and purges; one that is wrong changes nothing until it is right.
func TestListFiles(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "deny")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(deny, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	n := testNode(t, map[string]setting{"deny": {"--deny", []string{deny}}})
	now, h := time.Now(), wire.InfoHash{1}
	announceHere := func() access.Verdict {
		var ans tracker.Answer
		n.tracker.Announce(now, &tracker.Announce{InfoHash: h, Peer: somePeer(1)}, &ans)
		return ans.Refused
	}
	if v := announceHere(); v != access.Served {
		t.Fatal(v)
	}
	write(h.String() + "\n")
	n.lists.reread(now) // it was seen to be another one, and may still be written to
	if v := announceHere(); v != access.Served {
		t.Fatal("a file was read that was not settled")
	}
	n.lists.reread(now)
	if v := announceHere(); v != access.DeniedTorrent || n.tracker.Torrents() != 0 {
		t.Fatalf("%v, %d torrents", v, n.tracker.Torrents())
	}
	write("nonsense\n")
	for range 3 {
		n.lists.reread(now)
	}
	if v := announceHere(); v != access.DeniedTorrent || n.lists.faults != 1 {
		t.Errorf("a wrong file: %v, %d faults", v, n.lists.faults)
	}
	if _, faults := readLists(n.cfg); len(faults) != 1 {
		t.Errorf("a hangup finds %v", faults)
	}
	// The API goes before the file.
	answer := entryOf(t, change(n, "DELETE", "/api/v1/deny/"+h.String(), "").Body.String())
	if v := announceHere(); v != access.Served || !answer.InFile || answer.Listed || answer.Change.Until != nil {
		t.Errorf("taken off by the API: %v, %+v", v, answer)
	}
	if err := os.Remove(deny); err != nil {
		t.Fatal(err)
	}
	n.lists.reread(now)
	if _, faults := readLists(n.cfg); len(faults) != 1 {
		t.Errorf("a hangup finds %v", faults)
	}
	if f, _ := n.lists.fileOf("deny"); n.lists.faults != 1 || f.entries != 1 {
		t.Errorf("a file that is gone: %d faults", n.lists.faults)
	}
}

// TestReadingHoldsUpNobody: while a file is read again, which may take seconds, changes are made.
func TestReadingHoldsUpNobody(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "deny")
	if err := os.WriteFile(deny, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := testNode(t, map[string]setting{"deny": {"--deny", []string{deny}}})
	f, begun, goOn := n.lists.files[0], make(chan struct{}), make(chan struct{})
	load := f.load
	f.load = func(path string, into *access.Files) (int, access.Stamp, error) {
		close(begun)
		<-goOn
		return load(path, into)
	}
	if err := os.WriteFile(deny, []byte(hexA+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	n.lists.reread(now) // sees it
	var reading sync.WaitGroup
	reading.Go(func() { n.lists.reread(now) })
	<-begun
	if w := change(n, "PUT", "/api/v1/deny-client/198.51.100.0/24", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	n.lists.reread(now) // there is somebody who does
	if n.tracker.Access().Client(netip.MustParseAddr("198.51.100.1")) != access.DeniedClient {
		t.Error("a change waits for the file")
	}
	close(goOn)
	reading.Wait()
	if h := wire.InfoHash([]byte(strings.Repeat("a", 20))); n.tracker.Access().Torrent(&h) != access.DeniedTorrent {
		t.Error("the file is not in force")
	}
	if n.tracker.Access().Client(netip.MustParseAddr("198.51.100.1")) != access.DeniedClient {
		t.Error("the change is forgotten")
	}
}

// TestManyChanges: more changes than are told one by one are in force and kept all the same, and the audit log says that there were more.
func TestManyChanges(t *testing.T) {
	dir := t.TempDir()
	n := testNode(t, map[string]setting{"state-dir": {"--state-dir", []string{dir}}})
	const many = 1<<16 + 100
	es := make([]edits.Entry, many)
	for i := range es {
		es[i] = edits.Entry{Kind: edits.Deny, Op: edits.Add, Key: edits.Key{byte(i), byte(i >> 8), byte(i >> 16)}, Node: wire.NodeID{9}, Time: uint64(i + 1)}
	}
	now := time.Now()
	n.lists.machine.Load(now, es)
	n.lists.apply(now)
	last := wire.InfoHash(es[many-1].Key)
	if v := n.tracker.Access().Torrent(&last); v != access.DeniedTorrent {
		t.Errorf("the last one is %v", v)
	}
	n.lists.close()
	kept, f, err := reopened(filepath.Join(dir, "lists.edits"))
	if err != nil || len(kept) != many {
		t.Fatalf("%d of %d are kept: %v", len(kept), many, err)
	}
	f.f.Close()
	log, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if lines := strings.Split(strings.TrimSpace(string(log)), "\n"); err != nil || len(lines) != 1<<16+1 || !strings.Contains(lines[1<<16], `"more"`) {
		t.Errorf("%d lines in the audit log: %v", len(lines), err)
	}
}

// TestWrongList: a wrong file stops the program before it opens a socket, and its line is named.
func TestWrongList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte("# x\nshort\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--deny", "--allow", "--deny-client", "--passkeys"} {
		r := inTime(t, "serve", flag, path, "--http", "127.0.0.1:0", "--livesync-interface", "none")
		if r.code != 2 || !strings.Contains(r.stderr, flag+": "+path+", line 2: ") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", flag, r)
		}
	}
}

// TestListsToCome: changes that were made while the clock was ahead are not in force, which the log says.
func TestListsToCome(t *testing.T) {
	dir := t.TempDir()
	_, f, err := reopened(filepath.Join(dir, "lists.edits"))
	if err != nil {
		t.Fatal(err)
	}
	e := edits.Entry{Kind: edits.Deny, Op: edits.Add, Time: uint64(time.Now().Add(48 * time.Hour).UnixNano())}
	if err := errors.Join(f.add([]edits.Entry{e}), f.f.Close()); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	l, err := newLists(&config{stateDir: dir}, zerolog.New(&said), new(events))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if l.rules != nil || !strings.Contains(said.String(), `"changes":1,`) || !strings.Contains(said.String(), "the clock of this host is wrong") {
		t.Errorf("%v; %s", l.rules, said.String())
	}
}
