package relay

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"sync"

	"starling/livesync"
)

const (
	// maxConns is how many connections there may be, and maxBacklog how many of them nobody has accepted yet.
	maxConns   = 64
	maxBacklog = 16
)

var (
	errReset    = errors.New("the other side has ended the connection")
	errLost     = errors.New("a part of the connection was lost at the relay")
	errCutOff   = errors.New("the relay is cut off from its server")
	errTooMany  = errors.New("too many connections at the relay")
	errNoNumber = errors.New("not an address at the relay")
)

// tunnels are the connections to other relays. Publish sends a frame to the inbox of one of them.
type tunnels struct {
	number  uint64
	publish func(to uint64, frame []byte) error

	mu       sync.Mutex // guards what follows; no conn's is taken while it is held, and none is held while it is taken
	conns    map[connKey]*conn
	listener *listener // nil: nobody accepts
	opened   uint64
	broken   uint64
}

// connKey tells connections apart: by the other relay, and the number that who dialed has drawn.
type connKey struct{ peer, number uint64 }

func newTunnels(number uint64, publish func(to uint64, frame []byte) error) *tunnels {
	return &tunnels{number: number, publish: publish, conns: make(map[connKey]*conn)}
}

// send sends a frame.
func (t *tunnels) send(to uint64, f frame) error {
	return t.publish(to, f.append(make([]byte, 0, frameHead+len(f.data))))
}

// heard takes in a frame from another relay. It never waits.
func (t *tunnels) heard(from uint64, b []byte) {
	f, err := parseFrame(b)
	if err != nil {
		return
	}
	key := connKey{from, f.conn}
	t.mu.Lock()
	c := t.conns[key]
	opens := f.kind == frameOpen && c == nil && t.accept(key)
	t.mu.Unlock()
	switch {
	case opens:
	case c == nil || f.kind == frameOpen:
		if f.kind != frameReset {
			t.send(from, frame{kind: frameReset, conn: f.conn})
		}
	default:
		if err := c.heard(&f); err != nil {
			c.fail(err)
			if f.kind != frameReset {
				t.send(from, frame{kind: frameReset, conn: f.conn})
			}
		}
	}
}

// accept makes a connection for whoever listens, and reports whether there was room. The caller holds t.mu.
func (t *tunnels) accept(key connKey) bool {
	if t.listener == nil || len(t.conns) >= maxConns {
		return false
	}
	c := newConn(t, key)
	select {
	case t.listener.arrived <- c:
		t.conns[key] = c
		t.opened++
		return true
	default:
		return false
	}
}

// dial opens a connection to who has a number. Whether anybody is there shows when something is read.
func (t *tunnels) dial(ctx context.Context, to uint64) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var drawn [8]byte
	crand.Read(drawn[:]) // never fails
	key := connKey{to, binary.BigEndian.Uint64(drawn[:])}
	c := newConn(t, key)
	t.mu.Lock()
	if len(t.conns) >= maxConns {
		t.mu.Unlock()
		return nil, errTooMany
	}
	t.conns[key] = c
	t.opened++
	t.mu.Unlock()
	if err := t.send(to, frame{kind: frameOpen, conn: key.number}); err != nil {
		c.fail(err)
		return nil, err
	}
	return c, nil
}

// listen returns where connections arrive, in the place of the listener before.
func (t *tunnels) listen() net.Listener {
	l := &listener{tunnels: t, arrived: make(chan *conn, maxBacklog), closed: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listener = l
	return l
}

// cutOff ends all connections: parts of them are lost.
func (t *tunnels) cutOff() {
	t.mu.Lock()
	all := make([]*conn, 0, len(t.conns))
	for _, c := range t.conns {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.fail(errCutOff)
	}
}

// forget is told that a connection is over.
func (t *tunnels) forget(key connKey, broken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.conns[key]; !ok {
		return
	}
	delete(t.conns, key)
	if broken {
		t.broken++
	}
}

// listener is where connections arrive.
type listener struct {
	tunnels *tunnels
	arrived chan *conn
	once    sync.Once
	closed  chan struct{}
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept fail and ends the connections that it did not return.
func (l *listener) Close() error {
	l.once.Do(func() {
		t := l.tunnels
		t.mu.Lock()
		if t.listener == l {
			t.listener = nil
		}
		t.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.arrived:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns the address of this relay.
func (l *listener) Addr() net.Addr { return addrOf(l.tunnels.number) }

// addrOf returns the address of a relay as connections have it.
func addrOf(number uint64) net.Addr {
	return net.TCPAddrFromAddrPort(livesync.RelayAddress(number))
}
