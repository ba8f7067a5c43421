package ondemand

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// An Entry is what is kept of a tracker: what it is called and which requests are its own.
type Entry struct {
	Name     string `toml:"name" json:"name"`         // also decides the port on which its swarms sync
	Hostname string `toml:"hostname" json:"hostname"` // a DNS name in lower case or an IP address
	Port     uint16 `toml:"port" json:"port"`         // of the Host header; 0: any
}

// The longest name of a tracker, and of a host (RFC 1035, 2.3.4), and its labels.
const (
	maxName  = 64
	maxHost  = 253
	maxLabel = 63
)

// The livesync ports of on-demand trackers.
const (
	firstGroupPort = 20000
	groupPorts     = 20000
)

// GroupPort returns the port of the livesync group on which trackers of a name
// sync: 20000 + (the first two bytes of the SHA-256 of the name) mod 20000. Every node finds the same.
func GroupPort(name string) uint16 {
	sum := sha256.Sum256([]byte(name))
	return firstGroupPort + binary.BigEndian.Uint16(sum[:])%groupPorts
}

// An EntryError is a value that no tracker can have.
type EntryError struct {
	Field  string // name, hostname or port
	Reason string
}

func (e *EntryError) Error() string { return e.Field + ": " + e.Reason }

// normalized returns the entry with its hostname as it is compared, or an [*EntryError].
func (e Entry) normalized() (Entry, error) {
	if err := checkName(e.Name); err != nil {
		return e, err
	}
	host, err := normalizedHost(e.Hostname)
	e.Hostname = host
	return e, err
}

// checkName lets names through that are safe in a path, a file name and a line of the log.
func checkName(name string) error {
	if len(name) == 0 || len(name) > maxName {
		return &EntryError{"name", fmt.Sprintf("want 1 to %d characters, got %d", maxName, len(name))}
	}
	for i, c := range []byte(name) {
		if !alphanumeric(c) && (i == 0 || !strings.ContainsRune("-_.", rune(c))) {
			return &EntryError{"name", fmt.Sprintf("%q: want letters, digits, and after the first of them also - _ and .", name)}
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// normalizedHost returns a hostname in lower case without a final dot, an address in its shortest form.
func normalizedHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case name == "":
		return "", &EntryError{"hostname", "missing"}
	case len(name) > maxHost:
		return "", &EntryError{"hostname", fmt.Sprintf("longer than %d characters", maxHost)}
	}
	for label := range strings.SplitSeq(name, ".") {
		if !validLabel(label) {
			return "", &EntryError{"hostname", fmt.Sprintf("%q is neither a DNS name, in its xn-- form if need be, nor an IP address; a port is given apart", host)}
		}
	}
	return name, nil
}

// validLabel reports whether s can stand between the dots of a DNS name.
func validLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !alphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// defaultPort is meant by a Host header that names none.
const defaultPort = 80

// parseHost takes a Host header apart: it appends the host to dst as
// normalizedHost writes it and returns the port. What is no host and port is not ok;
// no entry could match it.
func parseHost(dst, header []byte) (host []byte, port uint16, ok bool) {
	host, digits := header, []byte(nil)
	bracketed := len(header) > 0 && header[0] == '['
	if end := bytes.LastIndexByte(header, ':'); end >= 0 && (!bracketed || header[end-1] == ']') {
		host, digits = header[:end], header[end+1:]
	}
	if port, ok = parsePort(digits); !ok || len(host) > maxHost+1 {
		return nil, 0, false
	}
	if bracketed {
		addr, err := netip.ParseAddr(string(bytes.TrimSuffix(host[1:], []byte("]"))))
		if err != nil || host[len(host)-1] != ']' {
			return nil, 0, false
		}
		return addr.AppendTo(dst), port, true
	}
	for _, c := range bytes.TrimSuffix(host, []byte(".")) {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, port, true
}

// parsePort reads the digits after the colon; none mean the default port.
func parsePort(digits []byte) (port uint16, ok bool) {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = 10*n + int(c-'0'); n > 65535 {
			return 0, false
		}
	}
	if len(digits) == 0 {
		n = defaultPort
	}
	return uint16(n), true
}
