package tracker

import (
	"net/netip"
	"strings"
	"testing"

	"starling/wire"
)

func testSources() *sources {
	return &sources{proxies: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("2001:db8:1::/48"),
		netip.MustParsePrefix("203.0.113.9/32"),
	}}
}

func TestClientBehindProxies(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct{ from, header, want string }{
		{"198.51.100.1", "", "198.51.100.1"},
		{"198.51.100.1", "192.0.2.1", "198.51.100.1"}, // from anybody it counts nothing
		{"198.51.100.1", "nonsense", "198.51.100.1"},
		{"10.2.0.1", "192.0.2.1", "10.2.0.1"}, // private is not trusted
		{"10.1.0.1", "192.0.2.1", "192.0.2.1"},
		{"::ffff:10.1.0.1", "192.0.2.1", "192.0.2.1"},
		{"2001:db8:1::1%eth0", "2001:db8:2::1", "2001:db8:2::1"},
		{"10.1.0.1", "::ffff:192.0.2.1", "192.0.2.1"},
		{"10.1.0.1", "192.0.2.1:4711", "192.0.2.1"},
		{"10.1.0.1", "[2001:db8:2::1]", "2001:db8:2::1"},
		{"10.1.0.1", "[2001:db8:2::1]:4711", "2001:db8:2::1"},
		{"10.1.0.1", "fe80::1%eth0", "fe80::1"},
		{"10.1.0.1", "8.8.8.8, 192.0.2.1", "192.0.2.1"}, // the client wrote 8.8.8.8 itself
		{"10.1.0.1", "8.8.8.8,192.0.2.1 ,\t203.0.113.9", "192.0.2.1"},
		{"10.1.0.1", "192.0.2.1, 2001:db8:1::5, 10.1.2.3", "192.0.2.1"},
		{"10.1.0.1", "10.1.0.7, 10.1.0.8", "10.1.0.7"}, // a client among the proxies
		{"10.1.0.1", "", "10.1.0.1"},                   // the proxy asks for itself
		{"10.1.0.1", " , ,", "10.1.0.1"},
		{"10.1.0.1", "192.0.2.1,,", "192.0.2.1"},
		{"10.1.0.1", "nonsense, 192.0.2.1", "192.0.2.1"},
		{"10.1.0.1", "192.0.2.1, nonsense", refused},
		{"10.1.0.1", "192.0.2.1, unknown, 10.1.0.2", refused},
		{"10.1.0.1", "fe80::1%" + strings.Repeat("x", maxForwarded), refused},
		{"10.1.0.1", "[", refused},
		{"10.1.0.1", "[]", refused},
		{"10.1.0.1", "[2001:db8:2::1", refused},
		{"10.1.0.1", "192.0.2.1:", refused},
		{"10.1.0.1", "192.0.2.256", refused},
	} {
		oneLine := forwardedLines(c.header)
		aLineEach := forwardedLines(strings.Split(c.header, ",")...)
		for _, lines := range []wire.ForwardedFor{oneLine, aLineEach} {
			got, ok := testSources().client(netip.MustParseAddr(c.from), &lines)
			if s := got.String(); ok && s != c.want || ok == (c.want == refused) {
				t.Errorf("from %s, %q: %s, %v, want %s", c.from, lines, s, ok, c.want)
			}
		}
	}
}

// forwardedLines returns the last of some X-Forwarded-For lines as a request has them.
func forwardedLines(lines ...string) (f wire.ForwardedFor) {
	for _, line := range lines {
		copy(f[:], f[1:])
		f[len(f)-1] = []byte(line)
	}
	return f
}

func TestMayNameIP(t *testing.T) {
	for addr, want := range map[string]bool{
		"10.9.9.9": true, "172.31.0.1": true, "192.168.0.1": true, "127.0.0.1": true, "::1": true, "fd00::1": true,
		"203.0.113.9": true, "2001:db8:1::1": true, // proxies
		"198.51.100.1": false, "172.32.0.1": false, "2001:db8:2::1": false, "169.254.0.1": false, "fe80::1": false, "100.64.0.1": false,
	} {
		if got := testSources().mayNameIP(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// Whatever an untrusted connection says of itself, its own address counts; and no header makes the
// walk fail worse than by refusing.
func FuzzClient(f *testing.F) {
	f.Add([]byte("192.0.2.1, 10.1.0.1"))
	f.Add([]byte("[2001:db8::1]:80,"))
	f.Fuzz(func(t *testing.T, header []byte) {
		lines := forwardedLines(string(header))
		s, stranger := testSources(), netip.MustParseAddr("198.51.100.1")
		if got, ok := s.client(stranger, &lines); !ok || got != stranger {
			t.Fatalf("a stranger became %v, %v", got, ok)
		}
		if got, ok := s.client(netip.MustParseAddr("10.1.0.1"), &lines); ok && (!got.IsValid() || got.Zone() != "" || got.Is4In6()) {
			t.Fatalf("client %v", got)
		}
	})
}
