package main

import (
	"net/http"
	"net/netip"
)

// changing lets a request that changes something through only when an operator
// on this host sent it: the admin address must be one that no other host
// reaches, the source must be this host, and there must be no Origin header, which
// a browser adds to what a page of the web makes it send.
func (n *node) changing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isLoopback(n.admin.Addr()):
			http.Error(w, "this admin address is not a loopback one and so serves no changes", http.StatusForbidden)
		case !fromLoopback(r.RemoteAddr):
			http.Error(w, "changes are made from this host only", http.StatusForbidden)
		case len(r.Header["Origin"]) > 0:
			http.Error(w, "changes are not made by web pages: there must be no Origin header", http.StatusForbidden)
		default:
			next(w, r)
		}
	}
}

// fromLoopback reports whether the other end of a connection, address and port, is this host.
func fromLoopback(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}
