package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
