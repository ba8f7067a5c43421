package access

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/wire"
)

// write writes a list and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// randomHash returns a hash that others share a prefix with, of any length.
func randomHash(rng *rand.Rand) (h wire.InfoHash) {
	for i := rng.IntN(len(h) + 1); i < len(h); i++ {
		h[i] = byte(rng.Uint32())
	}
	return h
}

// TestHashes compares sets with maps: of all sizes, of hashes that share prefixes, and with doubles.
func TestHashes(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{0, 1, 2, 3, 7, 50, 1000, 5000} {
		want := make(map[wire.InfoHash]bool)
		var all []wire.InfoHash
		for range n {
			h := randomHash(rng)
			want[h] = true
			all = append(all, h)
			if rng.IntN(4) == 0 {
				all = append(all, h)
			}
		}
		s := NewHashes(all)
		if s.Len() != len(want) {
			t.Fatalf("seed %d: %d hashes of %d", seed, s.Len(), len(want))
		}
		for h := range want {
			if !s.Has(&h) {
				t.Fatalf("seed %d, %d hashes: %v is missing", seed, n, h)
			}
		}
		for range 1000 {
			if h := randomHash(rng); s.Has(&h) != want[h] {
				t.Fatalf("seed %d, %d hashes: %v is there: %v", seed, n, h, s.Has(&h))
			}
		}
	}
	var none *Hashes
	if h := (wire.InfoHash{}); none.Has(&h) || none.Len() != 0 || none.Bytes() != 0 {
		t.Error("the nil set has something")
	}
}

func TestReadHashes(t *testing.T) {
	const a, b = "0123456789abcdef0123456789ABCDEF01234567", "fedcba9876543210fedcba9876543210fedcba98"
	path := write(t, "# a list\r\n\n"+a+"\n  "+b+strings.Repeat("0", 24)+"\t# of BEP 52\n"+a)
	s, stamp, err := ReadHashes(path)
	if err != nil || s.Len() != 2 {
		t.Fatal(s.Len(), err)
	}
	for _, text := range []string{a, b} {
		h, err := wire.ParseInfoHash(text)
		if err != nil || !s.Has(&h) {
			t.Errorf("%s is missing: %v", text, err)
		}
	}
	if now, err := StampOf(path); err != nil || now != stamp {
		t.Errorf("the file is another: %v %v", now, err)
	}
	if err := os.WriteFile(path, []byte(a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if now, err := StampOf(path); err != nil || now == stamp {
		t.Errorf("the file is the same: %v", err)
	}
}

// TestBadLines: whatever is wrong with a list, its line is named.
func TestBadLines(t *testing.T) {
	const good = "0123456789abcdef0123456789abcdef01234567"
	read := map[string]func(path string) error{
		"hashes":   func(p string) error { _, _, err := ReadHashes(p); return err },
		"prefixes": func(p string) error { _, _, err := ReadPrefixes(p); return err },
		"keys":     func(p string) error { _, _, err := ReadKeys(p); return err },
	}
	for _, c := range []struct {
		list, text string
		line       int
	}{
		{"hashes", good + "\n\n" + good[1:], 3},
		{"hashes", good + good, 1},
		{"hashes", "#\n" + good[:39] + "g", 2},
		{"hashes", "#" + strings.Repeat("-", 2000), 1},
		{"hashes", strings.Repeat("0", 1<<19), 1},
		{"prefixes", "10.0.0.0/8\n10.0.0.0/33", 2},
		{"prefixes", "10.0.0.1/8", 1},
		{"prefixes", "\nfe80::1%eth0", 2},
		{"prefixes", "::ffff:10.0.0.0/104", 1},
		{"prefixes", "example.org", 1},
		{"keys", "short", 1},
		{"keys", "abcdefgh alice\nabcdefgh bob", 2},
		{"keys", "abcdefgh 2027-13-01", 1},
		{"keys", "abc/efgh", 1},
	} {
		err := read[c.list](write(t, c.text))
		var wrong *LineError
		if !errors.As(err, &wrong) || wrong.Line != c.line {
			t.Errorf("%s %.60q: %v", c.list, c.text, err)
		}
		if c.list == "keys" && err != nil && strings.Contains(err.Error(), "abc") {
			t.Errorf("an error shows a key: %v", err)
		}
	}
}

// TestNoFile: what is no file is named and not opened, since to open a pipe waits for who writes to it.
func TestNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, is := range map[string]string{
		pipe: "is a pipe", "/dev/zero": "is a device", t.TempDir(): "is a directory", filepath.Join(t.TempDir(), "none"): "no such file",
	} {
		if _, _, err := ReadHashes(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), is) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestLargeNoList: of a file that is none no room is made for what it might hold.
func TestLargeNoList(t *testing.T) {
	path := write(t, "nonsense\n")
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skip(err) // on a file system that has no holes
	}
	if _, _, err := ReadHashes(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
}

func TestPasskeys(t *testing.T) {
	keys, _, err := ReadKeys(write(t, "# users\nalice-key-1 2027-12-31 Alice  A.\nbob-key-22 Bob\ncarolkey 2027-01-01T12:00:00Z\ndave-key\n"))
	if err != nil || keys.Len() != 4 {
		t.Fatal(keys.Len(), err)
	}
	var l Lists
	l.SetFiles(Files{Keys: keys})
	r := l.Edit(Edits{Keys: map[Digest]KeyEdit{
		DigestOf([]byte("dave-key")):   {Op: Removed},
		DigestOf([]byte("erin-key-1")): {Key{Name: "Erin", Until: 1_800_000_000}, Added},
	}})
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		key, now string
		want     Verdict
	}{
		{"alice-key-1", "2027-12-31T23:59:59Z", Served},
		{"alice-key-1", "2028-01-01T00:00:00Z", ExpiredKey},
		{"bob-key-22", "2999-01-01T00:00:00Z", Served},
		{"carolkey", "2027-01-01T11:59:59Z", Served},
		{"carolkey", "2027-01-01T12:00:00Z", ExpiredKey},
		{"dave-key", "2027-01-01T12:00:00Z", RevokedKey},
		{"erin-key-1", "2026-01-01T12:00:00Z", Served},
		{"erin-key-1", "2028-01-01T12:00:00Z", ExpiredKey},
		{"nobody-key", "2027-01-01T12:00:00Z", UnknownKey},
		{"", "2027-01-01T12:00:00Z", NoKey},
		{strings.Repeat("x", 5000), "2027-01-01T12:00:00Z", UnknownKey},
	} {
		if got := r.Passkey(at(c.now), []byte(c.key)); got != c.want {
			t.Errorf("%q at %s: %v", c.key, c.now, got)
		}
	}
	if k, _ := r.Key(DigestOf([]byte("alice-key-1"))); k.Name != "Alice A." {
		t.Errorf("the name is %q", k.Name)
	}
	r = l.Edit(Edits{Keys: map[Digest]KeyEdit{DigestOf([]byte("dave-key")): {}}})
	if got := r.Passkey(at("2027-01-01T12:00:00Z"), []byte("dave-key")); got != Served {
		t.Errorf("a key whose revocation was taken back: %v", got)
	}
}

func TestPathKey(t *testing.T) {
	long := strings.Repeat("k", mostKey)
	for _, c := range []struct{ path, key, rest string }{
		{"/abc/announce", "abc", "/announce"}, {"/announce", "", "/announce"}, {"//announce", "", "/announce"}, {"", "", ""}, {"/", "", "/"},
		{"/" + long + "/announce?x=/", long, "/announce?x=/"}, {"/" + long + "k/announce", "", "/" + long + "k/announce"},
		{"/abc/scrape", "abc", "/scrape"}, {"/a/b/c", "a", "/b/c"},
	} {
		if key, rest := PathKey([]byte(c.path)); string(key) != c.key || string(rest) != c.rest {
			t.Errorf("%q: %q %q", c.path, key, rest)
		}
	}
}

// TestTorrents compares the rules with maps while files and edits change at random.
func TestTorrents(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	pool := make([]wire.InfoHash, 3000)
	for i := range pool {
		pool[i] = wire.InfoHash{0: byte(rng.Uint32()), 18: byte(i), 19: byte(i >> 8)}
	}
	pick := func(n int) []wire.InfoHash {
		var some []wire.InfoHash
		for range n {
			some = append(some, pool[rng.IntN(len(pool))])
		}
		return some
	}
	var l Lists
	var files Files
	denied, allowed := map[wire.InfoHash]Op{}, map[wire.InfoHash]Op{}
	for step := range 60 {
		var r *Rules
		if rng.IntN(4) == 0 {
			files = Files{}
			if rng.IntN(2) == 0 {
				files.Deny = NewHashes(pick(200))
			}
			if rng.IntN(2) == 0 {
				files.Allow = NewHashes(pick(1500))
			}
			r = l.SetFiles(files)
		} else {
			e := Edits{Deny: map[wire.InfoHash]Op{}, Allow: map[wire.InfoHash]Op{}}
			for _, h := range pick(rng.IntN(400)) {
				op := Op(rng.IntN(3))
				e.Deny[h], denied[h] = op, op
			}
			for _, h := range pick(rng.IntN(400)) {
				op := Op(rng.IntN(3))
				e.Allow[h], allowed[h] = op, op
			}
			r = l.Edit(e)
		}
		for i := range pool {
			h := &pool[i]
			on := func(file *Hashes, op Op) bool { return op == Added || op == None && file.Has(h) }
			want := Served
			switch {
			case on(files.Deny, denied[*h]):
				want = DeniedTorrent
			case files.Allow != nil && !on(files.Allow, allowed[*h]):
				want = UnlistedTorrent
			}
			if got := r.Torrent(h); got != want {
				t.Fatalf("seed %d, step %d, %v: %v, want %v", seed, step, h, got, want)
			}
		}
	}
}

func TestClients(t *testing.T) {
	parse := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			p, err := ParsePrefix(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		return all
	}
	var l Lists
	check := func(r *Rules, denied ...string) {
		t.Helper()
		for _, a := range []string{"192.0.2.1", "192.0.2.9", "::ffff:192.0.2.9", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"} {
			want := Served
			if slices.Contains(denied, a) {
				want = DeniedClient
			}
			if got := r.Client(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s: %v", a, got)
			}
		}
	}
	check(nil)
	check(l.SetFiles(Files{Clients: NewPrefixes(parse("192.0.2.9", "2001:db8::/32")...)}), "192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1", "2001:db8:1::1")
	net := parse("192.0.2.0/24")[0]
	check(l.Edit(Edits{Clients: map[netip.Prefix]Op{net: Added, parse("2001:db8::/32")[0]: Removed}}), "192.0.2.1", "192.0.2.9", "::ffff:192.0.2.9")
	check(l.SetFiles(Files{}), "192.0.2.1", "192.0.2.9", "::ffff:192.0.2.9")
	if r := l.Edit(Edits{Clients: map[netip.Prefix]Op{net: None}}); r != nil {
		t.Error("there are rules although nothing is listed")
	}
}

// TestTexts: what a client is told over UDP is no longer than what it sent.
func TestTexts(t *testing.T) {
	for v := range Verdicts {
		most := wire.UDPAnnounceSize - 8
		if v == DeniedClient || v == NoKeyInScrape {
			most = wire.UDPHeaderSize + 20 - 8
		}
		if text := v.String(); text == "" || len(text) > most {
			t.Errorf("%d: %q has %d bytes, %d are the most", v, text, len(text), most)
		}
	}
}

func FuzzLists(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef01234567 # x\n10.0.0.0/8\nkey-of-somebody 2027-01-01 name"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys := Keys{all: map[Digest]Key{}}
		for _, do := range []func(line []byte) error{
			func(line []byte) error { _, err := parseHash(line); return err },
			func(line []byte) error { _, err := ParsePrefix(string(line)); return err },
			keys.add,
		} {
			scan(strings.NewReader(string(b)), do)
		}
		for _, k := range keys.all {
			if strings.ContainsAny(k.Name, "\n\r\x1b\x00") || len(k.Name) > 4*64 {
				t.Errorf("name %q", k.Name)
			}
		}
	})
}

// random returns so many hashes.
func random(n int) []wire.InfoHash {
	rng := rand.NewChaCha8([32]byte{1})
	all := make([]wire.InfoHash, n)
	for i := range all {
		rng.Read(all[i][:])
	}
	return all
}

// BenchmarkHas looks up hashes that are not there, as nearly all are, and some that are.
func BenchmarkHas(b *testing.B) {
	for _, n := range []int{1000, 1_000_000, 10_000_000} {
		s := NewHashes(random(n))
		others := random(n + 1<<16)[n:]
		for i := 0; i < len(others); i += 8 {
			others[i] = s.sorted[i*7919%n]
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			found := 0
			for i := range b.N {
				if s.Has(&others[i&0xffff]) {
					found++
				}
			}
			b.ReportMetric(float64(s.Bytes())/float64(n), "B/hash")
		})
	}
}
