package livesync

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// FindInterface turns the value of --livesync-interface into what [Config.Interface] takes.
// The value is a name or an IPv4 address, which must exist here; auto, the interface with a private
// IPv4 address that has the default route, else the only one there is; or none.
// An empty result turns live sync off; with auto a warning then says why and what to name.
func FindInterface(flag string) (name, warning string, err error) {
	switch flag {
	case "none":
		return "", "", nil
	case "auto":
		hosts, err := listInterfaces()
		if err != nil {
			return "", "", err
		}
		name, warning = chooseInterface(hosts, defaultRoutes())
		return name, warning, nil
	}
	if _, err := findLink(flag); err != nil {
		return "", "", err
	}
	return flag, "", nil
}

// hostInterface is an interface of this host as far as choosing and joining needs it.
type hostInterface struct {
	name     string
	index    int
	up       bool
	loopback bool
	ipv4     []netip.Prefix // addresses with the length of their subnet's prefix
}

// private reports whether strangers do not share the segment: it has a private IPv4
// address and none that is public. Addresses that say nothing, as link-local ones, do not count.
func (h *hostInterface) private() bool {
	private := false
	for _, p := range h.ipv4 {
		switch {
		case p.Addr().IsPrivate():
			private = true
		case !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast():
			return false
		}
	}
	return private
}

// chooseInterface is the rule of auto. defaults are the names of the
// interfaces that have a default route, the preferred one first.
func chooseInterface(hosts []hostInterface, defaults []string) (name, warning string) {
	var names, others []string
	for _, h := range hosts {
		switch {
		case h.loopback || !h.up || len(h.ipv4) == 0:
		case h.private():
			names = append(names, h.name)
		default:
			others = append(others, h.name)
		}
	}
	for _, d := range defaults {
		if slices.Contains(names, d) {
			return d, ""
		}
	}
	switch {
	case len(names) == 1:
		return names[0], ""
	case len(names) > 1:
		return "", "live sync is off: several interfaces have a private IPv4 address and none of them the default route; name one with --livesync-interface: " + strings.Join(names, ", ")
	case len(others) > 0:
		return "", "live sync is off: no interface has only private IPv4 addresses; if strangers do not share its segment, name one with --livesync-interface: " + strings.Join(others, ", ")
	}
	return "", "live sync is off: no interface has a private IPv4 address; name one with --livesync-interface"
}

// defaultRoutes returns the interfaces that have an IPv4 default route, by
// metric; none when the kernel does not show its routes.
func defaultRoutes() []string {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return parseRoutes(string(table))
}

// parseRoutes reads the kernel's table: interface, destination, gateway, flags, two counters, metric, mask, ...
func parseRoutes(table string) []string {
	const up, reject = 0x1, 0x200
	type route struct {
		name   string
		metric int
	}
	var routes []route
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		metric, err2 := strconv.Atoi(f[6])
		if err == nil && err2 == nil && flags&(up|reject) == up {
			routes = append(routes, route{f[0], metric})
		}
	}
	slices.SortStableFunc(routes, func(a, b route) int { return a.metric - b.metric })
	names := make([]string, len(routes))
	for i, r := range routes {
		names[i] = r.name
	}
	return names
}

func listInterfaces() ([]hostInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("the interfaces of this host cannot be listed: %w", err)
	}
	hosts := make([]hostInterface, 0, len(all))
	for i := range all {
		h, err := describe(&all[i])
		if err == nil { // else it went away meanwhile
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

func describe(ifi *net.Interface) (hostInterface, error) {
	h := hostInterface{
		name:     ifi.Name,
		index:    ifi.Index,
		up:       ifi.Flags&net.FlagUp != 0,
		loopback: ifi.Flags&net.FlagLoopback != 0,
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return h, fmt.Errorf("the addresses of interface %s cannot be read: %w", ifi.Name, err)
	}
	for _, a := range addrs {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipnet.IP)
		if ones, _ := ipnet.Mask.Size(); ok && addr.Unmap().Is4() {
			h.ipv4 = append(h.ipv4, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return h, nil
}

// findLink finds an interface by its name or one of its IPv4 addresses, whatever state it is in.
func findLink(ifname string) (hostInterface, error) {
	addr, err := netip.ParseAddr(ifname)
	if err != nil {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return hostInterface{}, fmt.Errorf("interface %q does not exist", ifname)
		}
		return describe(ifi)
	}
	if !addr.Is4() {
		return hostInterface{}, fmt.Errorf("%s is not an IPv4 address, and live sync needs one", ifname)
	}
	hosts, err := listInterfaces()
	if err != nil {
		return hostInterface{}, err
	}
	for _, h := range hosts {
		if h.has(addr) {
			return h, nil
		}
	}
	return hostInterface{}, fmt.Errorf("no interface has the address %s", addr)
}

func (h *hostInterface) has(a netip.Addr) bool {
	return slices.ContainsFunc(h.ipv4, func(p netip.Prefix) bool { return p.Addr() == a })
}

// link returns the interface as one to join on, from the address ifname or else its first.
func (h *hostInterface) link(ifname string) (Link, error) {
	switch {
	case !h.up:
		return Link{}, fmt.Errorf("interface %s is down", h.name)
	case len(h.ipv4) == 0:
		return Link{}, fmt.Errorf("interface %s has no IPv4 address yet", h.name)
	}
	addr := h.ipv4[0].Addr()
	if a, err := netip.ParseAddr(ifname); err == nil {
		addr = a
	}
	l := Link{Name: h.name, Index: h.index, Local: netip.AddrPortFrom(addr, 0)}
	for _, p := range h.ipv4 {
		l.Subnets = append(l.Subnets, p.Masked())
	}
	return l, nil
}

// changed says what makes a membership joined on l void now that the interface is h, nil when nothing does.
func (h *hostInterface) changed(l *Link) error {
	now, err := h.link(l.Local.Addr().String())
	switch {
	case err != nil:
		return err
	case now.Index != l.Index:
		return fmt.Errorf("interface %s was made anew", l.Name)
	case !h.has(l.Local.Addr()):
		return fmt.Errorf("interface %s does not have the address %s any more", l.Name, l.Local.Addr())
	case !slices.Equal(now.Subnets, l.Subnets):
		return fmt.Errorf("the subnets of interface %s changed", l.Name)
	}
	return nil
}
