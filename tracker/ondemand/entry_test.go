package ondemand

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// TestGroupPort: the numbers come from sha256sum and a calculator.
func TestGroupPort(t *testing.T) {
	for name, want := range map[string]uint16{"films": 36212, "cats": 35606, "x": 31633} {
		if got := GroupPort(name); got != want {
			t.Errorf("%s: port %d, want %d", name, got, want)
		}
	}
}

func TestEntryNormalized(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a"
	for _, tt := range []struct {
		name, host, want string // want: the hostname, or the field at fault
		ok               bool
	}{
		{"films", "films.example.org", "films.example.org", true},
		{"a", "Films.Example.ORG.", "films.example.org", true},
		{"A-b_c.9", "localhost", "localhost", true},
		{"a", "192.0.2.1", "192.0.2.1", true},
		{"a", "2001:DB8:0::1", "2001:db8::1", true},
		{"a", "[2001:db8::1]", "2001:db8::1", true},
		{"a", "xn--bcher-kva.example", "xn--bcher-kva.example", true},
		{"a", "_sip.example", "_sip.example", true},
		{strings.Repeat("n", maxName), long, long, true},

		{"", "h", "name", false},
		{strings.Repeat("n", maxName+1), "h", "name", false},
		{"-a", "h", "name", false},
		{".a", "h", "name", false},
		{"a b", "h", "name", false},
		{"a/b", "h", "name", false},
		{"a\n", "h", "name", false},
		{"ä", "h", "name", false},
		{"a", "", "hostname", false},
		{"a", ".", "hostname", false},
		{"a", "a..b", "hostname", false},
		{"a", ".a", "hostname", false},
		{"a", "-a.b", "hostname", false},
		{"a", "a-.b", "hostname", false},
		{"a", "bücher.example", "hostname", false},
		{"a", "h:80", "hostname", false},
		{"a", "h/x", "hostname", false},
		{"a", "h x", "hostname", false},
		{"a", "fe80::1%eth0", "hostname", false},
		{"a", long + "aa", "hostname", false},
		{"a", strings.Repeat("l", maxLabel+1), "hostname", false},
	} {
		e, err := Entry{Name: tt.name, Hostname: tt.host}.normalized()
		if tt.ok {
			if err != nil || e.Hostname != tt.want {
				t.Errorf("%q, %q: %q, %v", tt.name, tt.host, e.Hostname, err)
			}
			continue
		}
		var bad *EntryError
		if !errors.As(err, &bad) || bad.Field != tt.want {
			t.Errorf("%q, %q: %v, want a fault in %s", tt.name, tt.host, err, tt.want)
		}
	}
}

func TestParseHost(t *testing.T) {
	for header, want := range map[string]struct {
		host string
		port uint16
	}{
		"a":                     {"a", 80},
		"a:":                    {"a", 80},
		"a:80":                  {"a", 80},
		"A.B.:6969":             {"a.b", 6969},
		"192.0.2.1:1":           {"192.0.2.1", 1},
		"[2001:DB8:0::1]:65535": {"2001:db8::1", 65535},
		"[::1]":                 {"::1", 80},
		"a:065535":              {"a", 65535},
	} {
		if host, port, ok := parseHost(nil, []byte(header)); !ok || string(host) != want.host || port != want.port {
			t.Errorf("%q: %q, %d, %t", header, host, port, ok)
		}
	}
	for _, header := range []string{"a:x", "a:65536", "a:-1", "[", "[]", "[::1", "[::1]x", "[x]:80", "[::1]:x", strings.Repeat("a", maxHost+2)} {
		if host, port, ok := parseHost(nil, []byte(header)); ok {
			t.Errorf("%q: %q, %d", header, host, port)
		}
	}
}

// FuzzHost: no header makes the parser fail otherwise than by saying so, and
// whatever an operator may have written as the host is found again in a header of it.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"a", "A.b.:80", "[::1]:6969", "[", ":", "192.0.2.1:", "a:99999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var buffer [maxHost + 1]byte
		host, _, ok := parseHost(buffer[:0], header)
		if ok && bytes.ContainsAny(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !bytes.Contains(host, []byte("%")) {
			t.Errorf("%q: %q is not in lower case", header, host)
		}
		e, err := Entry{Name: "n", Hostname: string(header)}.normalized()
		if err != nil {
			return
		}
		written := e.Hostname
		if a, err := netip.ParseAddr(written); err == nil && a.Is6() {
			written = "[" + written + "]"
		}
		host, port, ok := parseHost(nil, []byte(strings.ToUpper(written)+":81"))
		if !ok || port != 81 || string(host) != e.Hostname {
			t.Errorf("%q: hostname %q is read as %q", header, e.Hostname, host)
		}
	})
}
