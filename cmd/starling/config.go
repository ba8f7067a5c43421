package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/livesync/relay"
	"starling/livesync/seal"
	"starling/tracker/pacer"
	"starling/tracker/sibling"
	"starling/wire"
)

// config is everything `starling serve` can be told, checked.
type config struct {
	http, https, udp, admin       []string // addresses to listen on; none: off
	tlsCert, tlsKey               string   // files
	mostConnections, maxPerClient int      // over HTTP and HTTPS
	trustedProxies                []netip.Prefix
	fullScrape                    []netip.Prefix
	adminHosts                    []string   // under which the admin address is asked for, besides addresses
	adminToken                    adminToken // zero: there is none
	tokenWarning                  string     // what is to be said of its file

	interval, minInterval, peerTimeout time.Duration
	numWant, maxNumWant                int

	allow, deny, denyClient, passkeys string // files; empty: none

	abuse string // one of abuseModes

	rate, uplink, livesyncRate int64 // bytes a second; 0: unlimited
	announceRate               int64 // announces a second; 0: unlimited
	sharing                    pacer.Sharing
	role                       pacer.Role
	oneRoot                    bool
	classes                    classTables
	siblings                   []sibling.Sibling
	siblingHealth              pacer.HealthMode
	redirect                   bool

	iface        string // a name, an address, auto or none
	group        netip.AddrPort
	nodes        []netip.Prefix // none: the interface's own subnets
	flush, renew time.Duration
	keys         seal.Keys      // none: plain mode
	keyWarning   string         // what is to be said of them
	plainNodes   []netip.Prefix // who is believed without a key
	publicURL    string
	relay        relay.Servers
	dialect      livesync.Dialect

	scrapeSync                       livesync.ScrapeSync
	beaconInterval, firstBeaconDelay time.Duration
	inquireThreshold                 int // percent

	snapshotInterval time.Duration

	memoryLimit int64 // bytes; 0: none

	path      string      // of the file, empty: there is none
	stateDir  string      // empty: nothing is kept
	user      account     // to become
	id        wire.NodeID // zero: from the state directory, or random
	logLevel  zerolog.Level
	logFormat string

	handed *handed // sockets and more from the process before this one, or from systemd; nil: nothing

	given map[string]setting // what was said of an option, by name; none: its default holds
}

// setting is what one source says about an option: the values as they were
// written, and how a message names the place where they stand.
type setting struct {
	where  string
	values []string
}

// A source answers for an option name with what it says about it, if it does.
type source func(o *option) (setting, bool)

// resolve makes a config of what the sources say, the first that knows an option winning
// over the later ones, and the option's default over none. A list is replaced as a whole, never merged.
// The error names the flag, variable or key at fault; of several it is the first.
func resolve(sources ...source) (*config, error) {
	c, faults := resolveAll(sources...)
	return c, first(faults)
}

// resolveAll does that and returns everything that is wrong. Settings are judged together only when each is right by itself.
func resolveAll(sources ...source) (*config, []error) {
	c := &config{given: make(map[string]setting)}
	var faults []error
	opts := options(c)
	for i := range opts {
		o := &opts[i]
		s, found := setting{}, false
		for _, from := range sources {
			if s, found = from(o); found {
				c.given[o.name] = s
				break
			}
		}
		if !found {
			if o.def == "" {
				continue
			}
			s = setting{where: "default of " + o.name, values: []string{o.def}}
		}
		if err := o.apply(s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.where, err))
		}
	}
	if len(faults) > 0 {
		return c, faults
	}
	return c, c.check()
}

// first returns the first of some errors, nil when there is none.
func first(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return faults[0]
}

// readConfig makes a config of the flags and the file at path, if there is one, as resolve does.
func readConfig(flags source, path string) (*config, error) {
	c, faults := readAllConfig(flags, path)
	return c, first(faults)
}

// readAllConfig does that and returns everything that is wrong.
func readAllConfig(flags source, path string) (*config, []error) {
	if path == "" {
		return resolveAll(flags)
	}
	f, faults := readFile(path, options(new(config)))
	for i, err := range faults {
		faults[i] = fmt.Errorf("config file: %w", err)
	}
	if f == nil {
		return nil, faults
	}
	c, wrong := resolveAll(flags, fromMap(f.settings))
	faults = append(faults, wrong...)
	c.path, c.classes = path, f.classes
	if len(faults) == 0 {
		faults = c.checkPacing()
	}
	return c, faults
}

// apply checks and stores the values of a setting.
func (o *option) apply(s setting) error {
	if !o.list && len(s.values) > 1 {
		return fmt.Errorf("given %d times, takes one value", len(s.values))
	}
	for _, v := range s.values {
		if v == "" {
			return fmt.Errorf("the value is empty; leave it out for the default (%s)", o.defaultText())
		}
		if err := o.set(v); err != nil {
			return err
		}
	}
	return nil
}

// check judges the settings together. Of two that contradict each other only
// through a default, the default gives way.
func (c *config) check() (faults []error) {
	for _, p := range []*[]string{&c.http, &c.https, &c.udp, &c.admin} {
		if len(*p) == 1 && (*p)[0] == off {
			*p = nil
		}
	}
	if c.minInterval > c.interval {
		if _, set := c.given["min-interval"]; set {
			faults = append(faults, fmt.Errorf("%s: %s is longer than the interval, %s", c.where("min-interval"), short(c.minInterval), short(c.interval)))
		}
		c.minInterval = c.interval
	}
	if c.numWant > c.maxNumWant {
		if _, set := c.given["numwant"]; set {
			faults = append(faults, fmt.Errorf("%s: %d is more than max-numwant, %d", c.where("numwant"), c.numWant, c.maxNumWant))
		}
		c.numWant = c.maxNumWant
	}
	if _, set := c.given["livesync-flush"]; c.relay.Given() && !set {
		c.flush = relayFlush
	}
	if err := c.checkRelay(); err != nil {
		faults = append(faults, err)
	}
	return append(faults, c.checkPacing()...)
}

// checkTLS refuses addresses without a certificate and a certificate without addresses.
func (c *config) checkTLS() error {
	switch {
	case len(c.https) > 0 && c.tlsCert == "":
		return fmt.Errorf("%s: tls-cert is missing, the file with the certificate", c.where("https"))
	case len(c.https) > 0 && c.tlsKey == "":
		return fmt.Errorf("%s: tls-key is missing, the file with the certificate's private key", c.where("https"))
	case len(c.https) == 0 && c.tlsCert != "":
		return fmt.Errorf("%s: nothing is served over TLS without https", c.where("tls-cert"))
	case len(c.https) == 0 && c.tlsKey != "":
		return fmt.Errorf("%s: nothing is served over TLS without https", c.where("tls-key"))
	}
	return nil
}

// checkPacing refuses what would have no effect: an operator who asks for it believes that it has.
func (c *config) checkPacing() (faults []error) {
	bytes := c.rate > 0 || c.uplink > 0
	_, sharing := c.given["rate-sharing"]
	_, health := c.given["sibling-health"]
	for _, f := range []struct {
		wrong       bool
		where, text string
	}{
		{sharing && !bytes, c.where("rate-sharing"), "there is nothing to share without rate or uplink"},
		{c.oneRoot && !bytes, c.where("one-root"), "there is nothing to put under one root without rate or uplink"},
		{c.oneRoot && bytes && c.livesyncRate > 0, c.where("one-root"), "livesync-rate is a root of its own, give one of the two"},
		{c.uplink > 0 && c.scrapeSync == livesync.Off && len(c.keys) == 0, c.where("uplink"),
			"nodes that share it know of each other by their beacons when they have no cluster key, and scrape-sync is off"},
		{c.redirect && len(c.siblings) == 0, c.where("redirect"), "there is nowhere to send clients without sibling"},
		{c.redirect && !bytes && c.announceRate == 0, c.where("redirect"), "tokens never run out without rate, uplink or announce-rate"},
		{health && len(c.siblings) == 0, c.where("sibling-health"), "there is nobody to probe without sibling"},
		{len(c.classes.list) > 0 && !bytes && c.announceRate == 0, c.classes.where, "there is nothing to divide without rate, uplink or announce-rate"},
	} {
		if f.wrong {
			faults = append(faults, fmt.Errorf("%s: %s", f.where, f.text))
		}
	}
	if err := c.classes.checkUnits(bytes, c.announceRate > 0); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// paced reports whether anything bounds what clients are answered.
func (c *config) paced() bool { return c.rate > 0 || c.uplink > 0 || c.announceRate > 0 }

// where names the place that set an option: --http, STARLING_HTTP, FILE: key http. It is the flag when nothing did.
func (c *config) where(name string) string {
	if s, ok := c.given[name]; ok {
		return s.where
	}
	return "--" + name
}

// fromMap is the source made of settings the program chose: what `cluster` gives each of its trackers.
func fromMap(settings map[string]setting) source {
	return func(o *option) (setting, bool) { s, ok := settings[o.name]; return s, ok }
}

// splitList takes lists apart that were written with commas.
func splitList(o *option, values []string) []string {
	if !o.list {
		return values
	}
	var parts []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return parts
}
