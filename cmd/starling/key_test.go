package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/livesync/seal"
)

// What `starling key` prints is a key that `starling serve` takes without a warning; another one each time.
func TestKey(t *testing.T) {
	first, second := invoke(t, nil, "key"), invoke(t, nil, "key")
	if first.code != exitOK || first.stdout == second.stdout || len(first.stdout) != 44 {
		t.Fatalf("%+v, %+v", first, second)
	}
	path := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(path, []byte(first.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	c := new(config)
	if err := setKeys(c)(path); err != nil || len(c.keys) != 1 || c.keyWarning != "" {
		t.Errorf("%v, %d keys, %q", err, len(c.keys), c.keyWarning)
	}
}

// A key that can be guessed or read by others is taken, and said.
func TestKeyWarnings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(path, []byte("correct horse battery staple"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := new(config)
	if err := setKeys(c)(path); err != nil || !strings.Contains(c.keyWarning, "guessed") || !strings.Contains(c.keyWarning, "chmod 600 "+path) {
		t.Errorf("%v, %q", err, c.keyWarning)
	}
}

// TestKeysKeepApart runs nodes with a key, beside one with another and one without, on the loopback interface: who has the key has
// everything from those who have it, and from the one without where that is asked for.
func TestKeysKeepApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(seal.NewKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours, theirs, group := key("ours"), key("theirs"), testGroup().String()
	run := func(flags ...string) *serving {
		return serve(t, append([]string{"--livesync-interface", "lo", "--livesync-node", "127.0.0.0/8", "--livesync-group", group}, flags...)...)
	}
	first := run("--cluster-key-file", ours, "--public-url", "http://first.example/announce")
	second := run("--cluster-key-file", ours, "--livesync-node-plain", "127.0.0.0/8")
	stranger, plain := run("--cluster-key-file", theirs), run()
	await(t, "the two believe each other", func() bool {
		for _, s := range []*serving{first, second} {
			if st := nodeStatusOf(t, s.Admin); len(st.Nodes) == 0 || st.Nodes[0].Mode != "keyed" {
				return false
			}
		}
		return true
	})
	for i, s := range []*serving{first, stranger, plain} {
		announce(t, "http", s.HTTP[0], uint16(7001+i))
	}
	peers := func(s *serving) uint64 { return nodeStatusOf(t, s.Admin).Peers.IPv4 }
	await(t, "the second has the first's peer and the plain node's", func() bool { return peers(second) == 2 })
	await(t, "the plain node has everybody's", func() bool { return peers(plain) == 3 })
	if a, b := peers(first), peers(stranger); a != 1 || b != 1 {
		t.Errorf("the first has %d peers, the stranger %d, each has its own only", a, b)
	}
	await(t, "the first counts what it did not believe", func() bool {
		d := nodeStatusOf(t, first.Admin).Livesync.Dropped
		return d.Auth > 0 && d.Plain > 0
	})
}
