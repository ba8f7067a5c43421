package tracker

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"starling/wire"
)

// sources says whose word on an address counts. There are two such words:
// X-Forwarded-For, with which a proxy names the client it asks for, and the ip
// parameter, with which a client names another address than the one it is seen
// at. Whoever could say either freely could plant any address in any swarm.
type sources struct {
	proxies []netip.Prefix // networks of the operator's own proxies
}

// proxy reports whether an address, unmapped and without a zone, is one of the operator's proxies.
func (s *sources) proxy(addr netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// mayNameIP reports whether the ip parameter of a client at this address
// counts. It does for the proxies, which may have put it there, and for
// private and loopback addresses: such a client is seen at an address nobody else can reach.
func (s *sources) mayNameIP(client netip.Addr) bool {
	return client.IsPrivate() || client.IsLoopback() || s.proxy(client)
}

// client returns the address a request over HTTP comes from. That is the other
// end of the connection unless it is a proxy, which names its own client in
// the last element of X-Forwarded-For; when that is a proxy as well, the one
// before counts, and so on. What stands further to the left anybody may have written.
// A proxy that names nobody asks for itself. ok is false when a proxy
// names something that is no address: there is no telling who the client is.
func (s *sources) client(from netip.Addr, forwardedFor *wire.ForwardedFor) (client netip.Addr, ok bool) {
	client = from.Unmap().WithZone("")
	for _, line := range slices.Backward(forwardedFor[:]) {
		for len(line) > 0 && s.proxy(client) {
			comma := bytes.LastIndexByte(line, ',')
			last := bytes.Trim(line[comma+1:], " \t")
			line = line[:max(comma, 0)]
			if len(last) == 0 {
				continue // an empty element is none (RFC 9110, 5.6.1.2)
			}
			if client, ok = parseForwarded(last); !ok {
				return netip.Addr{}, false
			}
		}
	}
	return client, true
}

// maxForwarded is the longest element of X-Forwarded-For that can be an address: one of IPv6 with
// a zone, brackets and a port.
const maxForwarded = 80

// parseForwarded reads an element of X-Forwarded-For as proxies write it:
// 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:4711.
func parseForwarded(element []byte) (netip.Addr, bool) {
	if len(element) > maxForwarded {
		return netip.Addr{}, false
	}
	text := string(element)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
			addr, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		} else {
			var ap netip.AddrPort
			ap, err = netip.ParseAddrPort(text)
			addr = ap.Addr()
		}
	}
	return addr.Unmap().WithZone(""), err == nil
}
