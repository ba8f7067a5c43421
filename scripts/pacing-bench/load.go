package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// run is one way to ask: the connections take turns with the kinds of requests.
type run struct {
	name  string
	kinds []string
}

// swarm is how many peers are announced before, so that every answer can be full.
const swarm = 300

// ahead is how many requests the greedy connection sends before it has answers.
const ahead = 64

// overload is how many times the rate is asked for.
const overload = 4

// client is one connection.
type client struct {
	number int
	kind   string
	conn   net.Conn
	stamp  *stamped
	greedy bool
	pace   time.Duration // between the requests it would like to send
}

// tally is what all clients count together.
type tally struct {
	mu    sync.Mutex
	start time.Time
	end   time.Time
	figures
}

// measure starts a tracker, runs against it and ends it.
func (r run) measure(o *options) (*figures, error) {
	where, stop, err := startWith(o, "--rate", strconv.Itoa(o.rate)+"B/s")
	if err != nil {
		return nil, err
	}
	defer stop()
	clients, err := r.connect(o, where)
	if err != nil {
		return nil, err
	}
	start := time.Now().Add(warmUp)
	t := &tally{start: start, end: start.Add(o.duration - warmUp)}
	t.got, t.classes = make([]int64, len(clients)), make(map[string]int64)
	t.steps = make([]int64, (o.duration-warmUp)/step)
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { c.ask(t) })
	}
	all.Wait()
	return &t.figures, nil
}

// connect opens the connections, each from an address of its own, after the swarm is announced.
func (r run) connect(o *options, where string) ([]*client, error) {
	fill, err := net.Dial("tcp", where)
	if err != nil {
		return nil, err
	}
	defer fill.Close()
	reader := bufio.NewReader(fill)
	for i := range swarm {
		target := fmt.Sprintf("/announce?info_hash=%s&port=%d&left=%d&numwant=0&ip=10.1.%d.%d", torrent, 1000+i, i%2, i>>8, i&255)
		if _, err := io.WriteString(fill, request(target)); err != nil {
			return nil, err
		}
		if _, err := readAnswer(reader); err != nil {
			return nil, fmt.Errorf("announce %d: %w", i, err)
		}
	}
	var clients []*client
	for i := range o.connections {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i+1))}}
		conn, err := d.DialContext(context.Background(), "tcp", where)
		if err != nil {
			return nil, err
		}
		c := &client{number: i, kind: r.kinds[i%len(r.kinds)], conn: conn, greedy: i == 0}
		if c.stamp, err = newStamped(conn); err != nil {
			return nil, err
		}
		const answer = 500 // bytes, about
		part := overload / 2 * float64(o.rate) / float64(o.connections-1)
		if c.greedy {
			part = overload / 2 * float64(o.rate)
		}
		c.pace = time.Duration(answer / part * float64(time.Second))
		clients = append(clients, c)
	}
	return clients, nil
}

// torrent is the info hash of all announces, hashes that of a scrape of several.
const torrent = "%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f%10%11%12%13%14"

func request(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: bench\r\n\r\n" }

// target returns what the client asks for.
func (c *client) target() string {
	switch c.kind {
	case "scrape":
		return "/scrape?info_hash=" + torrent
	case "started":
		return fmt.Sprintf("/announce?info_hash=%s&port=%d&left=1&event=started", torrent, 2000+c.number)
	}
	wanted := 50
	if c.greedy {
		wanted = 200
	}
	return fmt.Sprintf("/announce?info_hash=%s&port=%d&left=1&numwant=%d", torrent, 2000+c.number, wanted)
}

// ask sends requests until the run ends, and reads all answers.
func (c *client) ask(t *tally) {
	defer c.conn.Close()
	window := 1
	if c.greedy {
		window = ahead
	}
	out := request(c.target())
	sent, unanswered := make(chan time.Time, window), make(chan struct{}, window)
	go func() {
		defer close(sent)
		for next := time.Now(); time.Now().Before(t.end); next = next.Add(c.pace) {
			time.Sleep(time.Until(next))
			unanswered <- struct{}{}
			sent <- time.Now()
			if _, err := io.WriteString(c.conn, out); err != nil {
				return
			}
		}
	}()
	reader := bufio.NewReader(&counter{c: c, t: t})
	for at := range sent {
		answer, err := readAnswer(reader)
		t.book(c, at, answer, err)
		<-unanswered
	}
}

// counter counts what arrives by when it arrived.
type counter struct {
	c *client
	t *tally
}

// Read reads from the connection.
func (r *counter) Read(b []byte) (int, error) {
	n, at, err := r.c.stamp.read(b)
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := int(at.Sub(t.start) / step); !at.Before(t.start) && i < len(t.steps) {
		t.steps[i] += int64(n)
		t.got[r.c.number] += int64(n)
		t.classes[r.c.kind] += int64(n)
	}
	return n, err
}

// book counts an answer.
func (t *tally) book(c *client, at time.Time, answer []byte, err error) {
	wait := time.Since(at)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	switch {
	case err != nil:
		t.missing++
	case bytes.HasPrefix(answer, []byte("d14:failure")):
		t.failed++
	case c.kind != "scrape" && bytes.Contains(answer, []byte("5:peers0:")):
		t.bare++
	}
	if !c.greedy { // its requests wait for each other
		t.waits = append(t.waits, wait)
		t.longest = max(t.longest, wait)
	}
}

// readAnswer reads one answer and returns its body.
func readAnswer(r *bufio.Reader) ([]byte, error) {
	length := -1
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if length, err = strconv.Atoi(v); err != nil {
				return nil, err
			}
		}
		if line == "" {
			break
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("an answer without a length")
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}
