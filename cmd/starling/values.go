package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/seal"
	"starling/tracker/pacer"
	"starling/tracker/sibling"
	"starling/wire"
)

// Every set function here checks one value as an operator wrote it and stores
// it. Its error says what is wrong with the value and what would be right; the
// caller puts the name of the flag, variable or key in front.

const (
	day = 24 * time.Hour
	// off is the value that turns a listener or live sync off.
	off = "none"
	// maxPeers bounds --max-numwant: 1000 IPv6 peers are 18 kB, an answer a client still takes.
	maxPeers = 1000
)

// The values of the settings that have a fixed set of them.
var (
	dialects    = []string{livesync.Seed.String(), livesync.Modern.String(), livesync.Both.String()}
	scrapeSyncs = []string{livesync.Auto.String(), livesync.On.String(), livesync.Off.String()}
	sharings    = []string{pacer.Fair.String(), pacer.Ring.String(), pacer.Auto.String()}
	roles       = []string{pacer.Active.String(), pacer.Standby.String(), pacer.Backup.String()}
	healthModes = []string{pacer.Lazy.String(), pacer.Opportunistic.String(), pacer.Paranoid.String()}
	logLevels   = []string{"debug", "info", "warn", "error"}
	logFormats  = []string{"auto", "console", "json"}
)

// setText takes any text.
func setText(p *string) func(string) error {
	return func(s string) error { *p = s; return nil }
}

// setFile takes the name of a file that can be read.
func setFile(p *string) func(string) error {
	return func(s string) error {
		if _, err := os.ReadFile(s); err != nil {
			return err
		}
		*p = s
		return nil
	}
}

// setChoice takes one of the given words.
func setChoice(p *string, choices []string) func(string) error {
	return func(s string) error {
		if !slices.Contains(choices, s) {
			return fmt.Errorf("%q is not %s", s, orList(choices))
		}
		*p = s
		return nil
	}
}

// setDuration takes a duration from lowest to highest.
func setDuration(p *time.Duration, lowest, highest time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration, such as 250ms, 90s, 15m or 1h30m", s)
		}
		if d < lowest || d > highest {
			return fmt.Errorf("%s is not between %s and %s", s, short(lowest), short(highest))
		}
		*p = d
		return nil
	}
}

// short writes a round duration without the zero units of time.Duration.String: 24h, not 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// setNumber takes a whole number from lowest to highest.
func setNumber(p *int, lowest, highest int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if n < lowest || n > highest {
			return fmt.Errorf("%d is not between %d and %d", n, lowest, highest)
		}
		*p = n
		return nil
	}
}

// setPercent takes a whole percentage; the sign may be left out.
func setPercent(p *int, highest int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
		if err != nil {
			return fmt.Errorf("%q is not a percentage, such as 25%%", s)
		}
		if n < 0 || n > highest {
			return fmt.Errorf("%d%% is not between 0%% and %d%%", n, highest)
		}
		*p = n
		return nil
	}
}

// setRate takes a rate of bytes or of requests a second.
func setRate(p *int64, unit pacer.Unit) func(string) error {
	return func(s string) error {
		rate, got, err := pacer.ParseRate(s)
		switch {
		case err != nil:
			return err
		case got != unit && unit == pacer.Bytes:
			return fmt.Errorf("rate %q counts requests; it is bytes a second here, such as 800KB/s or 10MB/s", s)
		case got != unit:
			return fmt.Errorf("rate %q counts bytes; it is requests a second here, such as 2000/s", s)
		}
		*p = rate
		return nil
	}
}

// setSwitch takes true or false.
func setSwitch(p *bool) func(string) error {
	return func(s string) error {
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is not true or false", s)
		}
		*p = s == "true"
		return nil
	}
}

// maxSiblings bounds how many trackers are probed.
const maxSiblings = 64

// setSibling adds another tracker.
func setSibling(p *[]sibling.Sibling) func(string) error {
	return func(s string) error {
		b, err := sibling.Parse(s)
		if err != nil {
			return err
		}
		if *p = append(*p, b); len(*p) > maxSiblings {
			return fmt.Errorf("%q is one more than %d, as many as are probed", s, maxSiblings)
		}
		return nil
	}
}

// setListen adds one address to listen on, or the word that turns the listener off.
func setListen(p *[]string) func(string) error {
	return func(s string) error {
		if s != off {
			if err := checkListen(s); err != nil {
				return err
			}
		}
		*p = append(*p, s)
		if len(*p) > 1 && slices.Contains(*p, off) {
			return fmt.Errorf("%q turns the listener off and cannot stand beside an address", off)
		}
		return nil
	}
}

// checkListen refuses what cannot be listened on. Names are not looked up: which
// address they stand for at the moment is no base for a listener.
func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address and port, such as :6969, 10.0.0.1:6969, [::1]:6969 or %s", s, off)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", s)
	}
	if host == "" || host == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("%q: %q is not an IP address, localhost or empty for all of them", s, host)
	}
	return nil
}

// setPrefix adds a network; a single address is a network of one.
func setPrefix(p *[]netip.Prefix) func(string) error {
	return func(s string) error {
		n, err := parsePrefix(s)
		if err != nil {
			return err
		}
		*p = append(*p, n)
		return nil
	}
}

// setSource adds a network that nodes send from. The group is IPv4, so its members are.
func setSource(p *[]netip.Prefix) func(string) error {
	return func(s string) error {
		n, err := parsePrefix(s)
		if err != nil {
			return err
		}
		if !n.Addr().Is4() {
			return fmt.Errorf("%q is IPv6, but nodes talk over an IPv4 multicast group (about IPv6 peers too)", s)
		}
		*p = append(*p, n)
		return nil
	}
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return n, fmt.Errorf("%q is not an address or network, such as 10.0.0.2 or 10.0.0.0/24", s)
	}
	return n.Masked(), nil
}

// setKeys reads a file of cluster keys.
func setKeys(c *config) func(string) error {
	return func(path string) (err error) {
		c.keys, c.keyWarning, err = seal.ReadFile(path)
		return err
	}
}

// setURL takes the URL of a tracker, as clients write it.
func setURL(p *string) func(string) error {
	return func(s string) error {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp":
			return fmt.Errorf("%q is not the URL of a tracker, such as http://tracker.example:6969/announce", s)
		case len(s) > wire.MaxURL:
			return fmt.Errorf("the URL has %d bytes, at most %d are told", len(s), wire.MaxURL)
		case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
			return fmt.Errorf("%q has characters that a URL cannot have", s)
		}
		*p = s
		return nil
	}
}

// setGroup takes an IPv4 multicast group and its port.
func setGroup(p *netip.AddrPort) func(string) error {
	return func(s string) error {
		g, err := netip.ParseAddrPort(s)
		if err != nil {
			return fmt.Errorf("%q is not a group and port, such as %s", s, wire.Group)
		}
		if a := g.Addr(); !a.Is4() || !a.IsMulticast() {
			return fmt.Errorf("%s is not an IPv4 multicast group (224.0.0.0 to 239.255.255.255)", s)
		}
		if g.Port() == 0 {
			return fmt.Errorf("%q has port 0, on which nobody can meet", s)
		}
		*p = g
		return nil
	}
}

// setParsed takes what parse takes.
func setParsed[T any](p *T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		v, err := parse(s)
		if err != nil {
			return err
		}
		*p = v
		return nil
	}
}

// parseLevel reads the name of a log level.
func parseLevel(s string) (zerolog.Level, error) {
	if !slices.Contains(logLevels, s) {
		return 0, fmt.Errorf("%q is not %s", s, orList(logLevels))
	}
	return zerolog.ParseLevel(s)
}
