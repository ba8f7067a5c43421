package relay

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// window is how many bytes one side may have sent that the other has not read.
const window = 256 << 10

// conn is one end of a connection in frames. It is a [net.Conn].
type conn struct {
	tunnels *tunnels
	key     connKey

	writing sync.Mutex // held by one Write at a time; taken before mu

	mu      sync.Mutex // guards what follows; no frame is sent while it is held
	changed chan struct{}
	in      []byte // what came and was not read, a window at most
	got     uint64 // bytes that came
	told    uint64 // of them, those that the other side knows to have been read
	ended   bool   // no more come
	sent    uint64
	seen    uint64 // of them, those that the other side has read
	err     error  // why it is over
	readBy  time.Time
	writeBy time.Time
}

func newConn(t *tunnels, key connKey) *conn {
	return &conn{tunnels: t, key: key, changed: make(chan struct{})}
}

// wake wakes whoever waits. The caller holds c.mu.
func (c *conn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait waits until something has changed, or fails at a deadline, which is asked for anew. The caller holds c.mu, but not meanwhile.
func (c *conn) wait(by *time.Time) error {
	changed, deadline := c.changed, *by
	var expired <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		expired = timer.C
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
	case <-expired:
	}
	return nil
}

// Read reads what came, and tells the other side now and then.
func (c *conn) Read(b []byte) (int, error) {
	n, told, err := c.read(b)
	if told > 0 {
		c.tunnels.send(c.key.peer, frame{kind: frameSeen, conn: c.key.number, at: told})
	}
	return n, err
}

// read returns in told how much was read so far, when the other side is to know.
func (c *conn) read(b []byte) (n int, told uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 {
		switch {
		case c.ended:
			return 0, 0, io.EOF
		case c.err != nil:
			return 0, 0, c.err
		}
		if err := c.wait(&c.readBy); err != nil {
			return 0, 0, err
		}
	}
	n = copy(b, c.in)
	if c.in = c.in[n:]; len(c.in) == 0 {
		c.in = nil
	}
	if read := c.got - uint64(len(c.in)); read-c.told >= window/4 && !c.ended {
		c.told = read
		return n, read, nil
	}
	return n, 0, nil
}

// Write sends b, as fast as the other side reads.
func (c *conn) Write(b []byte) (written int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(b) > 0 {
		n, at, err := c.room(len(b))
		if err == nil {
			err = c.tunnels.send(c.key.peer, frame{kind: frameData, conn: c.key.number, at: at, data: b[:n]})
			if err != nil {
				c.fail(err)
			}
		}
		if err != nil {
			return written, err
		}
		written += n
		b = b[n:]
	}
	return written, nil
}

// room waits until some of so many bytes may leave, and returns how many, and their position.
func (c *conn) room(want int) (n int, at uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.err != nil {
			return 0, 0, c.err
		}
		if free := window - int(c.sent-c.seen); free > 0 {
			n, at = min(want, maxChunk, free), c.sent
			c.sent += uint64(n)
			return n, at, nil
		}
		if err := c.wait(&c.writeBy); err != nil {
			return 0, 0, err
		}
	}
}

// heard takes in a frame of this connection. An error says that the connection is over.
func (c *conn) heard(f *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	switch f.kind {
	case frameData:
		if f.at != c.got || c.ended || len(c.in)+len(f.data) > window {
			return errLost
		}
		c.in = append(c.in, f.data...)
		c.got += uint64(len(f.data))
	case frameSeen:
		if f.at > c.sent || f.at < c.seen {
			return errLost
		}
		c.seen = f.at
	case frameEnd:
		if f.at != c.got {
			return errLost
		}
		c.ended = true
	case frameReset:
		return errReset
	}
	return nil
}

// fail ends the connection; what came before can still be read.
func (c *conn) fail(why error) {
	c.mu.Lock()
	clean := c.ended || c.err != nil
	if c.err == nil {
		c.err = why
		c.wake()
	}
	c.mu.Unlock()
	c.tunnels.forget(c.key, !clean)
}

// Close ends the connection, and tells the other side unless it is over. What was written before still comes there.
func (c *conn) Close() error {
	c.mu.Lock()
	over, sent := c.err != nil, c.sent
	c.in = nil
	if !over {
		c.err = net.ErrClosed
		c.wake()
	}
	c.mu.Unlock()
	c.tunnels.forget(c.key, false)
	if !over {
		c.tunnels.send(c.key.peer, frame{kind: frameEnd, conn: c.key.number, at: sent})
	}
	return nil
}

// LocalAddr returns the address of this relay.
func (c *conn) LocalAddr() net.Addr { return addrOf(c.tunnels.number) }

// RemoteAddr returns the address of the other one.
func (c *conn) RemoteAddr() net.Addr { return addrOf(c.key.peer) }

// SetDeadline sets until when Read and Write may wait.
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy, c.writeBy = t, t
	c.wake()
	return nil
}

// SetReadDeadline sets until when Read may wait.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	c.wake()
	return nil
}

// SetWriteDeadline sets until when Write may wait.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	c.wake()
	return nil
}
