package tracker

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// inTLSBubble runs a test against a server over TLS in a bubble, and ends it well. It gives the test what a client needs.
func inTLSBubble(t *testing.T, test func(b *bubble, client *tls.Config)) {
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	lender.Close()
	client := lender.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName, client.InsecureSkipVerify = "example.com", true // a bubble's time is in the past of any certificate
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			HTTP: NewHTTP(New(testConfig, time.Now()), HTTPConfig{}), T: t, done: make(chan error, 1),
			listener: &pipeListener{accepts: make(chan accepted), closed: make(chan struct{})},
		}
		ctx, end := context.WithCancel(t.Context())
		b.end = end
		go func() { b.done <- b.ServeTLS(ctx, b.listener, &tls.Config{Certificates: lender.TLS.Certificates}) }()
		test(b, client)
		end()
		if err := <-b.done; err != nil || b.Connections() != 0 || b.handshakes.taken.Load() != 0 {
			t.Errorf("%v, %d connections and %d handshakes are left", err, b.Connections(), b.handshakes.taken.Load())
		}
	})
}

// Requests over TLS are answered as others are, in whatever version from 1.2 on, while other clients begin handshakes and do not end them.
func TestHTTPOverTLS(t *testing.T) {
	inTLSBubble(t, func(b *bubble, client *tls.Config) {
		silent, halfway := b.dial(), b.dial()
		b.send(halfway, "\x16\x03\x01")
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client.MaxVersion = version
			client.NextProtos = []string{"h2", "http/1.1"}
			c := tls.Client(b.dial(), client)
			r := bufio.NewReader(c)
			for range 3 {
				b.send(c, get(announceTarget(1)))
				b.receive(r)
			}
			if s := c.ConnectionState(); s.Version != version || s.NegotiatedProtocol != "http/1.1" {
				b.Errorf("%x, %s", s.Version, s.NegotiatedProtocol)
			}
			b.send(c, get(announceTarget(1), "Connection: close\r\n"))
			b.receive(r)
			b.cutAfter(c, 0)
		}
		b.pass(handshakeTimeout)
		for _, c := range []net.Conn{silent, halfway} {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				b.Errorf("still there: %v", err)
			}
		}
		if c := b.Counts(); c.Refused["tls_handshake"] != 2 || c.Announces != 8 || c.Refused["timeout"] != 0 {
			b.Errorf("counts %+v", c)
		}
	})
}

// What is no handshake, or an old one, is refused and counted; so is one too many.
func TestHTTPBadHandshakes(t *testing.T) {
	inTLSBubble(t, func(b *bubble, client *tls.Config) {
		old := client.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if err := tls.Client(b.dial(), old).Handshake(); err == nil {
			b.Error("TLS 1.1 is spoken")
		}
		plain := b.dial()
		go io.WriteString(plain, get(announceTarget(1)))
		io.Copy(io.Discard, plain)
		b.handshakes.taken.Add(maxHandshakes)
		b.cutAfter(b.dial(), 0)
		b.handshakes.taken.Add(-maxHandshakes)
		synctest.Wait()
		if c := b.Counts(); c.Refused["tls_handshake"] != 3 || c.Announces != 0 || b.Connections() != 0 {
			b.Errorf("counts %+v, %d connections", c, b.Connections())
		}
	})
}

// A client that begins handshakes and does not end them holds off itself and nobody else, and that for the time of a handshake.
func TestHTTPHandshakesOfOneClient(t *testing.T) {
	inTLSBubble(t, func(b *bubble, client *tls.Config) {
		from := func(addr string) net.Conn {
			mine, theirs := net.Pipe()
			b.listener.accepts <- accepted{conn: pipeFrom{theirs, netip.MustParseAddr(addr)}}
			return mine
		}
		shakesHands := func(addr string) bool {
			c := from(addr)
			defer c.Close()
			return tls.Client(c, client).Handshake() == nil
		}
		for i := range 2 * clientHandshakes {
			c := from("2001:db8::" + strconv.Itoa(i))
			defer c.Close()
		}
		synctest.Wait()
		if n := b.handshakes.taken.Load(); n != clientHandshakes {
			b.Errorf("%d handshakes are under way", n)
		}
		if shakesHands("2001:db8:0:ff::9") || !shakesHands("2001:db8:0:100::9") || !shakesHands("192.0.2.1") {
			b.Error("the silent client can, or others cannot")
		}
		b.pass(handshakeTimeout)
		if !shakesHands("2001:db8:0:ff::9") {
			b.Error("the silent client cannot afterwards")
		}
		synctest.Wait()
		if c := b.Counts(); c.Refused["client_tls_handshakes"] != clientHandshakes+1 || c.Refused["tls_handshake"] != clientHandshakes {
			b.Errorf("counts %+v", c)
		}
	})
}
