package catchup

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync/seal"
	"starling/wire"
)

func mustTLS(t *testing.T, keys ...seal.Key) *tls.Config {
	t.Helper()
	cfg, err := TLS(keys)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// startServer serves streams of x to who has the key until the test ends, and returns what to ask for.
func startServer(t *testing.T, cfg *tls.Config, x *wire.Excerpt, budget func(time.Time, int) time.Duration) *Want {
	t.Helper()
	ln, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{TLS: cfg, Budget: budget, Log: zerolog.Nop(), Answer: func(now time.Time, r Request) (*Teller, error) {
		if r.Target != someHeader.ID || r.TargetEpoch != someHeader.Epoch {
			return nil, ErrTarget
		}
		h := someHeader
		h.Within = r.Within
		return NewTeller(now, h, Memory{}, pieces(x)), nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &Want{ID: someHeader.ID, Epoch: someHeader.Epoch, Addr: ln.Addr().(*net.TCPAddr).AddrPort()}
}

// fetch asks for a stream and returns what came.
func fetch(cfg *tls.Config, w *Want) (got told, err error) {
	r := w.Request(time.Now(), wire.NodeID{9}, 5)
	d := NewDecoder()
	err = Fetch(context.Background(), DialTCP, cfg, w, r.Append(nil), d.Size, func(_ time.Time, b []byte) error {
		block, err := d.Next(b)
		if block != nil && block.Excerpt != nil {
			got.x.Swarms = append(got.x.Swarms, block.Excerpt.Swarms...)
			got.x.Members = append(got.x.Members, block.Excerpt.Members...)
		}
		return err
	})
	return got, err
}

// TestFetch fetches over TLS, with the same key and during a rotation, and not with another key.
func TestFetch(t *testing.T) {
	x := someSwarms(rand.New(rand.NewPCG(1, 1)), 3000)
	old, other := seal.Key{1}, seal.Key{2}
	for _, c := range []struct {
		name         string
		server, asks []seal.Key
		good         bool
	}{
		{"the same key", []seal.Key{old}, []seal.Key{old}, true},
		{"another key", []seal.Key{old}, []seal.Key{other}, false},
		{"the server knows the new key", []seal.Key{old, other}, []seal.Key{old}, true},
		{"only the asker signs with the new key", []seal.Key{old, other}, []seal.Key{other, old}, true},
		{"the server has forgotten the old key", []seal.Key{other}, []seal.Key{other, old}, true},
		{"the asker signs with the forgotten key", []seal.Key{other}, []seal.Key{old, other}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := startServer(t, mustTLS(t, c.server...), x, nil)
			got, err := fetch(mustTLS(t, c.asks...), w)
			if (err == nil) != c.good || len(got.x.Members) > 0 != c.good {
				t.Fatalf("%v, %d members", err, len(got.x.Members))
			}
			if c.good && !reflect.DeepEqual(got.x.Members, x.Members) {
				t.Fatal("other members than were told")
			}
		})
	}
}

// TestStrangers meets whoever has no key: without a certificate, with an older TLS, without our protocol, without TLS.
func TestStrangers(t *testing.T) {
	good := mustTLS(t, seal.Key{1})
	w := startServer(t, good, someSwarms(rand.New(rand.NewPCG(1, 1)), 10), nil)
	bare := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	silent := good.Clone()
	silent.NextProtos, silent.VerifyConnection = nil, nil
	another := good.Clone()
	another.NextProtos, another.VerifyConnection = []string{"h2"}, nil
	for name, cfg := range map[string]*tls.Config{"no certificate": bare, "TLS 1.2": old, "no protocol": silent, "another protocol": another} {
		if got, err := fetch(cfg, w); err == nil || len(got.x.Swarms) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	conn, err := net.Dial("tcp", w.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	if b, _ := io.ReadAll(conn); len(b) > 100 {
		t.Errorf("%d bytes for a stranger", len(b))
	}
}

// strangerFrom dials from an address of its own; 127.0.0.2 is another host as far as a server can see.
func strangerFrom(t *testing.T, addr string, w *Want) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	conn, err := d.Dial("tcp", w.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestIdleStranger opens more connections than nodes are told at once, and says nothing: whoever has the key is answered all the same.
func TestIdleStranger(t *testing.T) {
	cfg := mustTLS(t, seal.Key{1})
	w := startServer(t, cfg, someSwarms(rand.New(rand.NewPCG(1, 1)), 10), nil)
	for range 4 * maxConnections {
		strangerFrom(t, "127.0.0.2", w)
	}
	if _, err := fetch(cfg, w); err != nil {
		t.Error(err)
	}
}

// TestHandshakesOfStrangers tries a wrong certificate again and again: few of the handshakes are answered.
func TestHandshakesOfStrangers(t *testing.T) {
	cfg, wrong := mustTLS(t, seal.Key{1}), mustTLS(t, seal.Key{2})
	wrong.VerifyConnection = nil
	w := startServer(t, cfg, someSwarms(rand.New(rand.NewPCG(1, 1)), 10), nil)
	answered, begun := 0, time.Now()
	for range 5 * maxOfOne {
		conn := tls.Client(strangerFrom(t, "127.0.0.2", w), wrong)
		if conn.Handshake() == nil {
			answered++
		}
		io.ReadAll(conn) // until the server has seen the certificate
	}
	if most := maxOfOne * (1 + int(time.Since(begun)/strangerPause)); answered > most {
		t.Errorf("%d handshakes are answered, want %d at most", answered, most)
	}
	if _, err := fetch(cfg, w); err != nil {
		t.Error(err)
	}
}

// TestCertificate: nothing in it but the key, which follows from the cluster key.
func TestCertificate(t *testing.T) {
	a, b := mustTLS(t, seal.Key{1}), mustTLS(t, seal.Key{1})
	var keys [2]ed25519.PublicKey
	for i, cfg := range []*tls.Config{a, b} {
		c, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = c.PublicKey.(ed25519.PublicKey)
		if c.Subject.String() != "" || len(c.DNSNames) > 0 {
			t.Errorf("names %v %v", c.Subject, c.DNSNames)
		}
	}
	if !keys[0].Equal(keys[1]) {
		t.Error("two nodes with one key have different ones")
	}
	if _, err := TLS(nil); err == nil {
		t.Error("no key is taken")
	}
}

// TestOtherEpoch asks a node for what another start of it would tell.
func TestOtherEpoch(t *testing.T) {
	cfg := mustTLS(t, seal.Key{1})
	w := startServer(t, cfg, someSwarms(rand.New(rand.NewPCG(1, 1)), 10), nil)
	w.Epoch++
	if _, err := fetch(cfg, w); err == nil {
		t.Error("answered")
	}
}

// TestEightAtOnce holds eight streams up: a ninth is refused, and taken when one has ended.
func TestEightAtOnce(t *testing.T) {
	cfg := mustTLS(t, seal.Key{1})
	hold := make(chan struct{})
	w := startServer(t, cfg, someSwarms(rand.New(rand.NewPCG(1, 1)), 10), func(time.Time, int) time.Duration {
		<-hold
		return 0
	})
	results := make(chan error, maxConnections+1)
	for range maxConnections + 1 {
		go func() {
			_, err := fetch(cfg, w)
			results <- err
		}()
	}
	if err := <-results; err == nil {
		t.Error("nine at once")
	}
	close(hold)
	for range maxConnections {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if _, err := fetch(cfg, w); err != nil {
		t.Error(err)
	}
}

// TestBudget asks for every byte, about a packet at a time, and waits as it is told.
func TestBudget(t *testing.T) {
	cfg := mustTLS(t, seal.Key{1})
	asked, paid := 0, 0
	w := startServer(t, cfg, someSwarms(rand.New(rand.NewPCG(1, 1)), 500), func(_ time.Time, n int) time.Duration {
		if asked++; asked%3 != 0 {
			return time.Microsecond
		}
		if paid += n; n > paidPiece {
			t.Errorf("%d bytes at once", n)
		}
		return 0
	})
	if _, err := fetch(cfg, w); err != nil || paid < 10_000 {
		t.Fatalf("%v, %d bytes paid for", err, paid)
	}
}

func TestRequest(t *testing.T) {
	w := Want{ID: wire.NodeID{1}, Epoch: 2, Since: epoch, All: true}
	r := w.Request(epoch.Add(time.Minute), wire.NodeID{3}, 4)
	b := r.Append(nil)
	got, err := ParseRequest(b)
	if err != nil || got != r || got.Within != time.Minute+margin+answerTime || len(b) != RequestSize {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range b {
		if _, err := ParseRequest(b[:n]); err != ErrRequest {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	w.Since = time.Time{}
	if r := w.Request(epoch, wire.NodeID{3}, 4); r.Within != 0 {
		t.Errorf("everything is within %v", r.Within)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add((&Request{Within: time.Minute}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			return
		}
		if again, err := ParseRequest(r.Append(nil)); err != nil || again != r || r.Within > maxWithin {
			t.Fatalf("%+v, %+v, %v", r, again, err)
		}
	})
}

// TestSlowly: a block may take as long as the teller's budget wants, while something of it comes; nothing for ten seconds ends it.
func TestSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		go func() {
			for range 5 {
				<-time.After(stall - time.Second)
				there.Write([]byte("some"))
			}
		}()
		b := make([]byte, 20)
		if err := readAll(here, b); err != nil || string(b) != strings.Repeat("some", 5) {
			t.Errorf("%v, %q", err, b)
		}
		began := time.Now()
		if err := readAll(here, b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != stall {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
