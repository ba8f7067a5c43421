package main

import (
	"context"
	"fmt"
	"time"

	"starling/livesync"
	"starling/livesync/relay"
)

// relayFlush is how long a record waits for its packet to fill with a relay: what is announced on one segment is to be seen on the others
// in less than 50 ms, of which the server takes less than one when it is near. That is at most 46 packets a second more than without, and none
// on a node that fills them.
const relayFlush = 20 * time.Millisecond

// openRelay makes the way to other segments that --relay asks for, and has livesync take it.
func (n *node) openRelay(sync *livesync.Config) {
	if !n.cfg.relay.Given() {
		return
	}
	n.relay = relay.New(relay.Config{
		Servers: n.cfg.relay, Keys: n.cfg.keys, Log: n.log, Changed: n.relayChanged,
		Deliver: func(now time.Time, number uint64, b []byte) { n.livesync.Relayed(now, number, b) },
	})
	sync.Relay = n.relay.Way()
}

// relayChanged is told that the relay got or lost its server.
func (n *node) relayChanged(now time.Time, s relay.Status) {
	if s.Connected {
		n.events.add(now, eventRelay, "the relay is connected to "+s.Server)
		return
	}
	n.events.add(now, eventNoRelay, "the relay has no server, nodes of other segments look lost: "+s.Error)
}

// runLivesync runs livesync until ctx ends, and the relay for as long: it carries the farewell.
func (n *node) runLivesync(ctx context.Context) error {
	if n.relay == nil {
		return n.livesync.Run(ctx)
	}
	both := newGroup(context.WithoutCancel(ctx))
	both.start("relay", n.relay.Run)
	err := n.livesync.Run(ctx)
	if failed := both.end(); err == nil {
		err = failed
	}
	return err
}

// checkRelay refuses a relay that nothing could be believed from, or that has nothing to carry.
func (c *config) checkRelay() error {
	switch {
	case !c.relay.Given():
	case len(c.keys) == 0:
		return fmt.Errorf("%s: whoever uses the server could plant peers: a relay needs the key that all nodes have, give cluster-key-file (starling key makes one)", c.where("relay"))
	case c.iface == off:
		return fmt.Errorf("%s: there is nothing to carry while livesync-interface is none; lo does for a node that is alone on its segment", c.where("relay"))
	}
	return nil
}

// relayStatus is what the relay does, in the status.
type relayStatus struct {
	Servers   string        `json:"servers"`
	Connected bool          `json:"connected"`
	Server    string        `json:"server,omitempty"` // the one in use, or the last one
	Since     float64       `json:"since_s"`          // for how long it is, or is not, connected; 0: it never was
	Connects  uint64        `json:"connects"`
	Error     string        `json:"error,omitempty"` // the last one
	ErrorAgo  float64       `json:"error_ago_s"`
	Sent      relayTraffic  `json:"sent"`
	Received  relayTraffic  `json:"received"`
	Dropped   relayDropped  `json:"dropped"`
	Streams   streamsStatus `json:"streams"`
}

// relayTraffic counts messages of one direction.
type relayTraffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// relayDropped counts what the relay threw away, by reason.
type relayDropped struct {
	Full    uint64 `json:"full"`
	CutOff  uint64 `json:"cut_off"`
	Slow    uint64 `json:"slow"`
	Own     uint64 `json:"own"`
	Foreign uint64 `json:"foreign"`
}

// list returns the reasons under the names they have in the JSON.
func (d relayDropped) list() []droppedCount {
	return []droppedCount{{"full", d.Full}, {"cut_off", d.CutOff}, {"slow", d.Slow}, {"own", d.Own}, {"foreign", d.Foreign}}
}

// streamsStatus counts connections for catching up by the relay, and their frames.
type streamsStatus struct {
	Open     int          `json:"open"`
	Opened   uint64       `json:"opened"`
	Broken   uint64       `json:"broken"`
	Sent     relayTraffic `json:"sent"`
	Received relayTraffic `json:"received"`
}

// relayStatus returns what the relay does, nil without one.
func (n *node) relayStatus(now time.Time) *relayStatus {
	if n.relay == nil {
		return nil
	}
	s := n.relay.Status()
	r := &relayStatus{
		Servers: s.Servers, Connected: s.Connected, Server: s.Server, Connects: s.Connects, Error: s.Error,
		Sent: relayTraffic(s.Sent), Received: relayTraffic(s.Received), Dropped: relayDropped(s.Dropped),
		Streams: streamsStatus{s.Streams.Open, s.Streams.Opened, s.Streams.Broken, relayTraffic(s.Streams.Sent), relayTraffic(s.Streams.Received)},
	}
	if !s.Since.IsZero() {
		r.Since = seconds(now.Sub(s.Since))
	}
	if !s.ErrorAt.IsZero() {
		r.ErrorAgo = seconds(now.Sub(s.ErrorAt))
	}
	return r
}

// line says how the relay is, for people.
func (r *relayStatus) line() string {
	if !r.Connected {
		return "not connected to " + r.Servers
	}
	return fmt.Sprintf("connected to %s for %s, %s packets out, %s in", r.Server, age(r.Since), count(r.Sent.Packets), count(r.Received.Packets))
}

// trouble says what is wrong with it, nothing where there is none.
func (r *relayStatus) trouble() string {
	if r == nil || r.Connected {
		return ""
	}
	text := "the relay has no server: nodes of other segments are not heard"
	if r.Error != "" {
		text += " (" + r.Error + ")"
	}
	return text
}

// relay adds what the relay does, nothing without one.
func (e *exposition) relay(r *relayStatus) {
	if r == nil {
		return
	}
	e.gauge("relay_connected", "1 while the relay to other segments has a server.").sample(number(r.Connected))
	e.gauge("relay_since_seconds", "For how long that is so.").sample(r.Since)
	e.counter("relay_connects_total", "How often the relay was connected.").sample(float64(r.Connects))
	e.gauge("relay_error_age_seconds", "How long ago the relay had its last error; 0: it had none.").sample(r.ErrorAgo)
	kinds := []struct {
		name           string
		sent, received relayTraffic
	}{{"packets", r.Sent, r.Received}, {"streams", r.Streams.Sent, r.Streams.Received}}
	e.counter("relay_messages_total", "Messages of the relay: livesync packets, or parts of streams for catching up.")
	for _, k := range kinds {
		e.sample(float64(k.sent.Packets), "kind", k.name, "direction", "sent").sample(float64(k.received.Packets), "kind", k.name, "direction", "received")
	}
	e.counter("relay_bytes_total", "Bytes of them.")
	for _, k := range kinds {
		e.sample(float64(k.sent.Bytes), "kind", k.name, "direction", "sent").sample(float64(k.received.Bytes), "kind", k.name, "direction", "received")
	}
	e.counter("relay_dropped_total", "Messages that the relay threw away, by reason.")
	for _, d := range r.Dropped.list() {
		e.sample(float64(d.count), "reason", d.reason)
	}
	e.gauge("relay_streams", "Streams for catching up that are open at the relay.").sample(float64(r.Streams.Open))
	e.counter("relay_streams_total", "Streams for catching up that were opened at the relay.").sample(float64(r.Streams.Opened))
	e.counter("relay_broken_streams_total", "Of them, those that broke.").sample(float64(r.Streams.Broken))
}

// addressOf writes where a node is heard from.
func addressOf(o *livesync.NodeStatus) string {
	if _, ok := livesync.RelayNumber(o.Address.Addr()); ok {
		return "relay"
	}
	return o.Address.String()
}
