package main

import (
	"fmt"
	"time"

	"starling/livesync"
	"starling/tracker"
	"starling/wire"
)

// syncMember is what such a tracker says of itself to the other nodes, when it has a cluster key.
func (n *node) syncMember(t *tracker.Tracker) livesync.Member {
	stats := t.Stats()
	m := livesync.Member{
		Peers: stats.Peers4 + stats.Peers6, Capacity: capacity(n.cfg), Role: uint8(n.cfg.role),
		Version: version(), URL: n.cfg.publicURL,
	}
	if n.phase.Load() == phaseDraining {
		m.Health = wire.Draining
	}
	return m
}

// sketchKey returns the key by which the peers of nodes are compared, nil without a cluster key.
func (c *config) sketchKey() *[32]byte {
	if len(c.keys) == 0 {
		return nil
	}
	key := c.keys[0].DivergenceKey()
	return &key
}

// epoch returns the number of a livesync that starts now, when there is a cluster key.
func (n *node) epoch() (uint64, error) {
	if len(n.cfg.keys) == 0 {
		return 0, nil
	}
	return n.who.epoch(time.Now())
}

// warn says what is allowed, and probably not what was meant.
func (n *node) warn() {
	for _, text := range n.cfg.warnings(n.iface) {
		n.log.Warn().Msg(text)
	}
}

// warnings returns what is allowed, and probably not what was meant, on an interface; empty: live sync is off.
func (c *config) warnings(iface string) (texts []string) {
	for _, text := range []string{c.keyWarning, c.tokenWarning} {
		if text != "" {
			texts = append(texts, text)
		}
	}
	without := func(what string, names ...string) {
		for _, name := range names {
			if _, given := c.given[name]; given {
				texts = append(texts, c.where(name)+" has no effect "+what)
			}
		}
	}
	if len(c.admin) == 0 {
		without("without an admin address", "admin-token-file", "admin-host")
	}
	if iface == "" {
		without("while live sync is off", "cluster-key-file", "relay")
	}
	if len(c.keys) == 0 {
		without("without cluster-key-file", "livesync-node-plain", "public-url")
	}
	if c.stateDir == "" {
		without("without state-dir", "snapshot-interval")
	}
	if c.uplink > 0 && iface == "" {
		texts = append(texts, "live sync is off, so that this node hears nobody to share the uplink with and takes all of it")
	}
	if c.peerTimeout < c.interval {
		texts = append(texts, fmt.Sprintf("peer-timeout is %s and interval %s: clients are forgotten before they are due to announce again", short(c.peerTimeout), short(c.interval)))
	}
	return texts
}
