package relay

import (
	"regexp"
	"strings"
	"testing"

	"starling/livesync/seal"
)

// TestParseServers reads what an operator writes, and shows none of what is secret.
func TestParseServers(t *testing.T) {
	good := []struct{ text, urls, shown string }{
		{"nats://192.0.2.1", "nats://192.0.2.1:4222", "nats://192.0.2.1:4222"},
		{"tls://nats.example:443/", "tls://nats.example:443", "tls://nats.example:443"},
		{"nats://me:s3cret@[2001:db8::1]:4222", "nats://me:s3cret@[2001:db8::1]:4222", "nats://[2001:db8::1]:4222"},
		{"nats://s3cret@h, nats://me:s3cret%40@i:1", "nats://s3cret@h:4222,nats://me:s3cret%40@i:1", "nats://h:4222,nats://i:1"},
	}
	for _, c := range good {
		s, err := ParseServers(c.text)
		if err != nil || s.urls != c.urls || s.String() != c.shown || !s.Given() {
			t.Errorf("%s: %q, %q, %v", c.text, s.urls, s, err)
		}
	}
	for _, text := range []string{
		"", "nats", "nats://", "http://s3cret@h", "nats://me:s3cret@", "nats://me:s3cret@h:0", "nats://me:s3cret@h:65536", "nats://me:s3cret%@h", "nats://me:s3#cret@h",
		"nats://s3cret@h/path", "nats://s3cret@h?x=y", "nats://h,", "h:4222", "nats://me:s3cret@h:x", "nats://me:s3cret@h:",
		"nats://me:s3cret,more@h", "nats://s3cret:99999,more@h", "nats://me:more@s3cret:0,more@h", "nats://me:4222,s3cret@h",
	} {
		s, err := ParseServers(text)
		switch {
		case err == nil && text != "nats://me:s3cret@h:": // the usual port
			t.Errorf("%q: %s", text, s)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
	if (Servers{}).Given() {
		t.Error("no servers are given")
	}
}

// TestSubject: one for each key, of which it says nothing, and an inbox for each relay.
func TestSubject(t *testing.T) {
	a, b := Subject(&seal.Key{1}), Subject(&seal.Key{2})
	if a == b || !regexp.MustCompile(`^starling\.[0-9a-f]{16}$`).MatchString(a) {
		t.Errorf("%s and %s", a, b)
	}
	if n, ok := numberOf(inbox(a, 0xabc)); !ok || n != 0xabc {
		t.Errorf("%x, %v", n, ok)
	}
	for _, text := range []string{"", ".", "0123456789abcdef0", "starling.0123456789abcde", "starling.x123456789abcdef", "starling.+123456789abcdef"} {
		if n, ok := numberOf(text); ok {
			t.Errorf("%q is %x", text, n)
		}
	}
}
