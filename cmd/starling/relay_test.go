package main

import (
	"strings"
	"testing"
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
