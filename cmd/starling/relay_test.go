package main

import (
	"strings"
	"testing"
	"time"
)

// TestRelayNeeds: a relay without a key, or with nothing to carry, is refused, and no message shows a password.
func TestRelayNeeds(t *testing.T) {
	const url = "nats://me:s3cret@192.0.2.1"
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"--relay", url}, []string{"--relay", "cluster-key-file"}},
		{[]string{"--relay", url, "--cluster-key-file", "testdata/keys/one"}, []string{"--relay", "livesync-interface"}},
		{[]string{"--relay", url + "/x", "--cluster-key-file", "testdata/keys/one"}, []string{"--relay", "nats://192.0.2.1"}},
		{[]string{"--relay", "nats://me:s3cret/%@h"}, []string{"--relay", "%XX"}},
	} {
		r := invoke(t, nil, silent(c.args...)...)
		r.wantUsageError(t, c.words...)
		if strings.Contains(r.stderr, "s3cret") {
			t.Errorf("%v: %s", c.args, r.stderr)
		}
	}
}

// TestRelayFlush: across a relay a record waits for less time, unless it was said for how long.
func TestRelayFlush(t *testing.T) {
	relay := []string{"--relay", "nats://192.0.2.1", "--cluster-key-file", "testdata/keys/one", "--livesync-interface", "lo"}
	if c := resolved(t, nil, "", relay...); c.flush != relayFlush {
		t.Errorf("%s", c.flush)
	}
	if c := resolved(t, []string{"STARLING_LIVESYNC_FLUSH=250ms"}, "", relay...); c.flush != 250*time.Millisecond {
		t.Errorf("%s although it was given", c.flush)
	}
}
