package livesync

import (
	"errors"
	"net/netip"
)

// FindInterface turns the value of --livesync-interface into what [Config.Interface] takes.
// The value is a name or an IPv4 address, which must exist here; auto, the one interface with a private
// IPv4 address that has the default route, else the only one there is; or none.
// An empty result turns live sync off; with auto a warning then says why and which interface to name.
func FindInterface(flag string) (name, warning string, err error) {
	if flag == "none" || flag == "auto" {
		return "", "", nil
	}
	return flag, "", nil
}

// Listen joins group on an interface, by name or address, with real sockets.
func Listen(group netip.AddrPort, ifname string) (Conn, error) {
	return nil, errors.New("livesync: not built yet")
}
