package tracker

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

const (
	// handshakeTimeout is the time for a whole handshake. One takes some milliseconds of a processor and two ways through the network.
	handshakeTimeout = 5 * time.Second
	// maxHandshakes is how many may be under way: as many as are done in that time. clientHandshakes is how many of them may be one client's, as places
	// counts clients: some 150 a second across the world, while clients that begin handshakes and do not end them have to be many to hold off others.
	maxHandshakes, clientHandshakes = 1024, 32
)

// ServeTLS is [HTTP.Serve] for clients that speak TLS, 1.2 at least. Each connection has a goroutine of its own, so that no handshake
// holds up another connection. cfg says what the certificate is.
func (s *HTTP) ServeTLS(ctx context.Context, ln net.Listener, cfg *tls.Config) error {
	defer ln.Close()
	cfg = cfg.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	cfg.NextProtos = []string{"http/1.1"} // else some clients would speak HTTP/2
	l := &httpListener{HTTP: s, ctx: ctx, tls: cfg, open: make(map[net.Conn]struct{})}
	defer l.drain()
	return l.acceptAll(ln)
}

// encrypt makes a connection that was just accepted one over TLS, whose handshake is still to be done, where the listener is for those.
func (l *httpListener) encrypt(conn net.Conn) net.Conn {
	if l.tls == nil {
		conn.SetDeadline(time.Now().Add(firstTimeout))
		return conn
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	return tls.Server(conn, l.tls)
}

// shakeHands does the handshake of a connection over TLS, and reports whether the connection is ready for requests.
func (l *httpListener) shakeHands(conn net.Conn, from netip.Addr, counts *tally) bool {
	c, ok := conn.(*tls.Conn)
	if !ok {
		return true
	}
	if why, ok := l.handshakes.take(from); !ok {
		counts.refuse(why)
		return false
	}
	defer l.handshakes.leave(from)
	if c.HandshakeContext(context.Background()) != nil {
		if !l.ending.Load() {
			counts.refuse(refuseHandshake)
		}
		return false
	}
	c.SetDeadline(time.Now().Add(headTimeout))
	if l.ending.Load() { // who ends the server shortened the deadline before this
		c.SetReadDeadline(time.Now().Add(drainTime))
	}
	return true
}
