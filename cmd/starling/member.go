package main

import (
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
	cfg, log := n.cfg, n.log
	if cfg.keyWarning != "" {
		log.Warn().Msg(cfg.keyWarning)
	}
	if cfg.tokenWarning != "" {
		log.Warn().Msg(cfg.tokenWarning)
	}
	for _, name := range []string{"admin-token-file", "admin-host"} {
		if _, given := cfg.given[name]; given && n.admin == nil {
			log.Warn().Msgf("%s has no effect without an admin address", cfg.where(name))
		}
	}
	if len(cfg.keys) > 0 && n.iface == "" {
		log.Warn().Msgf("%s has no effect while live sync is off", cfg.where("cluster-key-file"))
	}
	for _, name := range []string{"livesync-node-plain", "public-url"} {
		if _, given := cfg.given[name]; given && len(cfg.keys) == 0 {
			log.Warn().Msgf("%s has no effect without cluster-key-file", cfg.where(name))
		}
	}
	if _, given := cfg.given["snapshot-interval"]; given && cfg.stateDir == "" {
		log.Warn().Msgf("%s has no effect without state-dir", cfg.where("snapshot-interval"))
	}
	if cfg.uplink > 0 && n.iface == "" {
		log.Warn().Msg("live sync is off, so that this node hears nobody to share the uplink with and takes all of it")
	}
	if cfg.peerTimeout < cfg.interval {
		log.Warn().Str("peer_timeout", short(cfg.peerTimeout)).Str("interval", short(cfg.interval)).
			Msg("clients are forgotten before they are due to announce again")
	}
}
