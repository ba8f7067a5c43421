package doctor

import (
	"cmp"
	"strings"
)

// What a busy node wants of its host.
const (
	wantedBuffer = 4 << 20
	wantedFiles  = 65536
	leastTable   = 65536
)

// keepers are the programs that keep a clock right, as /proc names them, with what asks each how it does.
var keepers = map[string]string{
	"chronyd":         "chronyc tracking, and chronyc sources for those that it asks",
	"systemd-timesyn": "timedatectl timesync-status",
	"ntpd":            "ntpq -p, or ntpctl -s all",
	"ptp4l":           "pmc -u -b 0 'GET TIME_STATUS_NP'",
	"phc2sys":         "pmc -u -b 0 'GET TIME_STATUS_NP'",
}

// clock looks at the host's own clock; those of the others are [heard]'s.
func clock(s *Snapshot) []Finding {
	ask := keepers[s.ClockKeeper]
	switch {
	case !s.ClockKnown:
		return warn("clock", cmp.Or(ask, "timedatectl"), "not known whether it is synchronised")
	case !s.ClockSynced && ask != "":
		return warn("clock", ask, "%s runs, but has not set it yet: lags between nodes are as wrong as it is", s.ClockKeeper)
	case !s.ClockSynced:
		return warn("clock", "apt-get install chrony, or timedatectl set-ntp true", "nothing keeps it right: lags between nodes are as wrong as it is")
	case ask == "":
		return ok("clock", "synchronised")
	}
	return ok("clock", "synchronised by %s", s.ClockKeeper)
}

// receiveBuffer looks at how many packets may wait for the node.
func receiveBuffer(s *Snapshot) []Finding {
	if s.Granted == 0 {
		return nil
	}
	if s.Granted < wantedBuffer/4 {
		return warn("buffer", "sysctl -w net.core.rmem_max=8388608; in /etc/sysctl.d to keep it", "a livesync socket gets %d KiB (net.core.rmem_max is %d): bursts are lost", s.Granted>>10, s.ReceiveMax)
	}
	return ok("buffer", "a livesync socket gets %d KiB", s.Granted>>10)
}

// files looks at how many connections there may be.
func files(s *Snapshot) []Finding {
	if s.FileLimit < wantedFiles {
		return warn("files", "LimitNOFILE=1048576 in the unit; ulimit -n 65536 in a shell", "%d open files at most from here, a connection each", s.FileLimit)
	}
	return ok("files", "%d open files at most from here", s.FileLimit)
}

// ports looks at those that a tracker wants.
func ports(s *Snapshot) []Finding {
	var taken []string
	for _, p := range s.Ports {
		if p.Taken && !strings.HasPrefix(p.Owner, "starling") {
			owner := p.Owner
			if owner == "" {
				owner = "a process that only root can see"
			}
			taken = append(taken, p.Protocol+" "+itoa(p.Port)+" by "+owner)
		}
	}
	switch {
	case len(taken) == 0:
		return ok("ports", "free, or held by starling")
	case s.Node != nil:
		return ok("ports", "taken: %s (the node at %s runs)", strings.Join(taken, ", "), s.Node.Admin)
	}
	return warn("ports", "end it, or choose others: --http, --udp, --admin", "taken: %s", strings.Join(taken, ", "))
}

// firewall looks for rules that let the group not in. Only a hint: it does not follow them as the kernel does.
func firewall(s *Snapshot) []Finding {
	if s.Rules == "" {
		return nil
	}
	rules := strings.ToLower(s.Rules)
	drops := strings.Contains(rules, ":input drop") || strings.Contains(rules, "-p input drop") ||
		strings.Contains(rules, "hook input") && strings.Contains(rules, "policy drop")
	named := strings.Contains(rules, itoa(s.Group.Port())) || strings.Contains(rules, s.Group.Addr().String()) || strings.Contains(rules, "224.0.0.0/4") ||
		strings.Contains(rules, "pkttype multicast") || strings.Contains(rules, "pkt-type multicast")
	if drops && !named {
		return warn("firewall", "nft add rule inet filter input ip daddr "+s.Group.Addr().String()+" udp dport "+itoa(s.Group.Port())+" accept, and ip protocol igmp accept",
			"what comes in is dropped unless a rule names it, and none names %s", s.Group)
	}
	return ok("firewall", "no rule that is known to drop %s", s.Group)
}

// conntrack looks at a table that is full long before the host is: each client of the UDP port has a place in it.
func conntrack(s *Snapshot) []Finding {
	const do = "sysctl -w net.netfilter.nf_conntrack_max=1048576; better: nft add rule inet raw prerouting udp dport 6969 notrack"
	switch {
	case s.ConntrackMax == 0:
		return nil
	case s.ConntrackCount >= s.ConntrackMax/10*9:
		return bad("conntrack", do, "%d of %d places are taken: packets of new clients are dropped", s.ConntrackCount, s.ConntrackMax)
	case s.ConntrackMax < leastTable:
		return warn("conntrack", do, "room for %d connections only, and each client of the UDP port takes one", s.ConntrackMax)
	}
	return ok("conntrack", "%d of %d places are taken", s.ConntrackCount, s.ConntrackMax)
}

// memory compares what the host gives with what the node may take.
func memory(s *Snapshot) []Finding {
	m, most := s.Memory, s.Memory.Total
	if m.Limit > 0 && m.Limit < most {
		most = m.Limit
	}
	if most == 0 {
		return nil
	}
	if s.Node != nil && s.Node.MemoryLimit > most {
		return bad("memory", "starling serve --memory-limit "+mib(most/10*8), "--memory-limit is %s, and there are %s: the kernel ends the node first", mib(s.Node.MemoryLimit), mib(most))
	}
	if s.Node != nil && s.Node.MemoryLimit == 0 {
		return warn("memory", "starling serve --memory-limit "+mib(most/10*8), "no --memory-limit: whoever announces random torrents can fill %s", mib(most))
	}
	return ok("memory", "%s, %s of them free", mib(most), mib(m.Available))
}
