package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"starling/tracker/access"
)

// What systemd is told, when it started this program (Type=notify-reload, sd_notify(3)); nothing otherwise. That it cannot be told is no
// reason to end.

func tellSystemd(state string) { daemon.SdNotify(false, state) }

// tellReady says that everything is served.
func (n *node) tellReady() {
	tellSystemd(fmt.Sprintf("READY=1\nSTATUS=Serving %d HTTP, %d HTTPS and %d UDP addresses, version %s",
		len(n.cfg.http), len(n.cfg.https), len(n.cfg.udp), version()))
}

// tellReloading says that the configuration is being read again, or the program replaced, until tellReady.
func tellReloading() { tellSystemd("RELOADING=1\n" + daemon.SdNotifyMonotonicUsec()) }

// watchdog tells systemd that this node lives as long as it does: its servers answer, and nothing holds the locks of the swarms and of
// live sync. Where systemd does not ask (WatchdogSec=), it does nothing.
func (n *node) watchdog(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return nil
	}
	timer := time.NewTicker(interval / 4)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			s := n.tracker.Stats()
			nodes := len(n.livesync.Status().Nodes)
			if err := n.probe(interval / 8); err != nil {
				n.log.Warn().Err(err).Msg("the watchdog of systemd is not told that this node lives")
				continue
			}
			tellSystemd(fmt.Sprintf("WATCHDOG=1\nSTATUS=%d torrents, %d peers, %d other nodes", s.Torrents, s.Peers4+s.Peers6, nodes))
		}
	}
}

// probe asks the servers for something that costs nothing. That a connection is closed is an answer, too: there may be too many.
func (n *node) probe(patience time.Duration) error {
	for _, ln := range n.httpListeners[:min(1, len(n.httpListeners))] {
		if err := n.ask("tcp", ln.Addr(), []byte("HEAD /alive HTTP/1.0\r\n\r\n"), patience); err != nil {
			return fmt.Errorf("http: %w", err)
		}
	}
	connect := binary.BigEndian.AppendUint64(nil, 0x41727101980) // BEP 15, action and transaction 0
	for _, conn := range n.udpConns[:min(1, len(n.udpConns))] {
		if err := n.ask("udp", conn.LocalAddr(), append(connect, make([]byte, 8)...), patience); err != nil {
			return fmt.Errorf("udp: %w", err)
		}
	}
	return nil
}

// ask sends a request to an address of this process and waits for any answer. Clients of this host may be denied, and then get none.
func (n *node) ask(network string, addr net.Addr, request []byte, patience time.Duration) error {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return err
	}
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	if rules := n.tracker.Access(); rules != nil && rules.Client(at.Addr().Unmap()) != access.Served {
		return nil
	}
	conn, err := net.DialTimeout(network, at.String(), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err = conn.Read(make([]byte, 16)); err != nil {
		if t, ok := err.(net.Error); ok && t.Timeout() {
			return err
		}
	}
	return nil
}
