package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// node looks at what a running node says of itself.
func node(s *Snapshot) []Finding {
	n := s.Node
	if n == nil {
		return ok("node", "none runs here (%s)", s.NodeError)
	}
	all := ok("node", "%s runs, version %s, live sync %s on %s, %s", n.Admin, n.Version, n.Mode, n.Interface, counted(n.Nodes, "other node"))
	switch {
	case n.Interface == "" || n.State == "off":
		all = bad("node", "starling serve --livesync-interface NAME", "%s runs with live sync off: it is alone", n.Admin)
	case n.Trouble != "":
		all = bad("node", "see below; the log says since when", "%s: %s", n.Admin, n.Trouble)
	}
	switch {
	case n.CatchingUp:
		all = append(all, warn("sync", "wait, and run this again", "the node is catching up with the others")...)
	case n.InSync != nil && !*n.InSync:
		all = append(all, bad("sync", "starling status", "not in sync: %s", n.InSyncWhy)...)
	}
	if n.Auth > 0 {
		all = append(all, warn("key", "compare `sha256sum cluster.key` on all hosts", "%d packets had a tag that does not fit the key", n.Auth)...)
	}
	if n.PlainDrop > 0 {
		all = append(all, warn("key", "give all nodes the key; for an opentracker: --livesync-node-plain ADDRESS", "%d packets had no tag, and were not believed", n.PlainDrop)...)
	}
	if n.KernelDrop > 0 {
		all = append(all, warn("loss", "sysctl -w net.core.rmem_max=8388608, and see how busy the processors are", "the kernel had no room for %d packets", n.KernelDrop)...)
	}
	return all
}

// network looks at the interface.
func network(s *Snapshot) []Finding {
	i := &s.Interface
	name := "interface"
	switch {
	case i.Trouble != "":
		return bad(name, "starling doctor --livesync-interface NAME; `ip -br address` lists them", "%s", i.Trouble)
	case !i.Up:
		return bad(name, "ip link set "+i.Name+" up", "%s is down", i.Name)
	case !i.Addr.IsValid():
		return bad(name, "ip address add 10.0.0.1/24 dev "+i.Name, "%s has no IPv4 address, which live sync needs", i.Name)
	case !i.Multicast && !i.Loopback:
		return bad(name, "ip link set "+i.Name+" multicast on", "%s has multicast turned off", i.Name)
	case i.Loopback:
		return warn(name, "name the interface that the hosts share: --livesync-interface NAME", "%s is the loopback interface: only nodes of this host hear each other", i.Name)
	case i.Public:
		return warn(name, "use --cluster-key-file, or a private network; narrow --livesync-node down", "%s has the public address %s: strangers may share its segment", i.Name, i.Addr)
	}
	return ok(name, "%s is up with %s, private, multicast on", i.Name, i.Addr)
}

// membership looks at what joining the group did.
func membership(s *Snapshot) []Finding {
	l := &s.Listening
	switch {
	case s.Interface.Trouble != "":
		return nil
	case l.Trouble != "":
		return bad("group", "the line about the interface, or a process that holds the port alone: ss -ulpn", "%s cannot be joined: %s", s.Group, l.Trouble)
	case !s.Interface.Members && !s.Interface.Loopback:
		return warn("group", "cat /proc/net/igmp", "joined %s, but /proc/net/igmp does not list it on %s", s.Group, s.Interface.Name)
	case !l.OwnBack:
		return bad("group", "let UDP to "+s.Group.String()+" in and out on "+s.Interface.Name+"; see the line about the firewall", "what is sent to %s does not even come back on this host", s.Group)
	}
	return ok("group", "joined %s; our own packet came back", s.Group)
}

// clockTolerance is how far clocks may be apart before lag figures mislead.
const clockTolerance = 2 * time.Second

// heard looks at who else is on the group.
func heard(s *Snapshot) []Finding {
	if s.Interface.Trouble != "" || s.Listening.Trouble != "" {
		return nil
	}
	var all []Finding
	others, elsewhere := 0, 0
	for _, h := range s.Listening.Heard {
		where := ""
		if h.Local {
			where = ", on this host"
		}
		if h.Group != s.Group {
			elsewhere++
			all = append(all, warn("heard", fmt.Sprintf("to stand beside it: starling serve --livesync-group %s", h.Group), "%s (%s) is on another group, %s: %s%s", h.Addr, h.ID, h.Group, h.Kind, where)...)
			continue
		}
		switch {
		case h.Kind == Stranger:
			all = append(all, warn("heard", "find out what it is: starling dump --hex | grep "+h.Addr.String(), "%s sends what no tracker can read", h.Addr)...)
			continue
		case h.Kind == Old:
			all = append(all, warn("heard", "keep --scrape-sync auto: it hangs on the first tell", "%s (%s): %s", h.Addr, h.ID, h.Kind)...)
		case h.Timed && (h.Clock > clockTolerance || h.Clock < -clockTolerance):
			all = append(all, warn("heard", "chronyc makestep, or timedatectl set-ntp true, on the host whose clock is wrong", "%s (%s): %s%s; its clock and ours are %s apart, so that lags mean nothing", h.Addr, h.ID, h.Kind, where, h.Clock.Round(time.Millisecond))...)
		default:
			all = append(all, ok("heard", "%s (%s): %s, %s%s", h.Addr, h.ID, h.Kind, counted(h.Packets, "packet"), where)...)
		}
		if !h.Local {
			others++
		}
	}
	if others > 0 {
		return all
	}
	nobody := fmt.Sprintf("no other host on %s within %s", s.Group, s.Listening.For)
	if keyed := slices.ContainsFunc(s.Listening.Heard, func(h Heard) bool { return h.Local && h.Kind == Keyed }); keyed {
		return append(all, bad("heard", "run this on the other host too; then the switch: does it snoop without a querier?", "%s, where keyed nodes speak each second", nobody)...)
	}
	if elsewhere == 0 {
		nobody += "; nodes without a key are silent while nobody announces"
	}
	return append(all, warn("heard", "announce something to the other node meanwhile: starling announce udp://OTHER:6969 --info-hash 0123456789abcdef0123456789abcdef01234567", "%s", nobody)...)
}

// querier looks for what makes a snooping switch forget the group.
func querier(s *Snapshot) []Finding {
	i, q := &s.Interface, &s.Queries
	if i.Trouble != "" || i.Loopback {
		return nil
	}
	if strings.HasPrefix(i.IGMP, "V1") {
		return warn("querier", "sysctl -w net.ipv4.conf."+i.Name+".force_igmp_version=0", "IGMP version 1 is spoken on %s: hosts cannot say that they leave", i.Name)
	}
	switch {
	case q.From.IsValid():
		return ok("querier", "heard an IGMP query of %s", q.From)
	case i.Snooping && i.Querier:
		return ok("querier", "bridge %s snoops and asks itself", i.Bridge)
	case i.Snooping:
		return warn("querier", "ip link set "+i.Bridge+" type bridge mcast_querier 1, or mcast_snooping 0", "bridge %s snoops, is no querier, and none was heard: it forgets the group within minutes", i.Bridge)
	case q.Trouble != "":
		return warn("querier", "run this as root, for longer than 125s: starling doctor --listen 130s", "not known: %s", q.Trouble)
	case s.Listening.For < queryInterval:
		return warn("querier", "starling doctor --listen 130s, or see whether your switch snoops", "heard no query for %s; queriers ask every 125 s or so", s.Listening.For)
	}
	return warn("querier", "turn a querier on (switch, router or bridge), or IGMP snooping off for this VLAN", "heard no query for %s: a switch that snoops forgets the group within minutes", s.Listening.For)
}

// queryInterval is how often queriers ask at least (RFC 3376, 8.2).
const queryInterval = 125 * time.Second

// counted returns a number and what it is of.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
