package fullscrape

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"starling/tracker/document"
	"starling/wire"
)

// Bounds of an answer.
const (
	writeTimeout  = 30 * time.Second // for one piece of it to be taken
	answerTimeout = 10 * time.Minute // for all of it: the copy stays in memory until then
)

// Answer writes the whole answer to a request, with its head, to the connection of a client, which ends with it. One that
// cannot be finished breaks off without its end, so that nobody takes it for whole.
func (s *Scrape) Answer(ctx context.Context, conn net.Conn, r *wire.Request, f Format) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	copied, err := s.copy.Get(time.Now())
	if err != nil {
		s.unavailable(conn, err)
		return
	}
	defer copied.Close()
	packed := &packedReader{ctx: ctx, copy: copied}
	if packed.rest, err = copied.Next(ctx); err != nil {
		s.unavailable(conn, err)
		return
	}
	pause := newBreath()
	defer pause.close()
	out := &connWriter{scrape: s, conn: conn, pause: pause}
	if err := s.send(out, packed, r, f); err != nil {
		cut(conn)
		return
	}
	s.answered.Add(1)
}

// cut makes the end of a connection one that no client takes for the end of the answer, as one of HTTP/1.0 does with any other. Over TLS
// it leaves no way for the word that all was sent.
func cut(conn net.Conn) {
	over, encrypted := conn.(interface{ NetConn() net.Conn })
	if encrypted {
		conn = over.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	if encrypted {
		conn.Close()
	}
}

// send writes head and body.
func (s *Scrape) send(out *connWriter, packed *packedReader, r *wire.Request, f Format) error {
	coding := choose(r.AcceptEncoding, f)
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nVary: Accept-Encoding\r\nConnection: close\r\n"
	if coding != "" {
		head += "Content-Encoding: " + coding + "\r\n"
	}
	if age, stale := packed.copy.Stale(); stale {
		head += fmt.Sprintf("Age: %d\r\n", int(age.Seconds()))
	}
	size, known := packed.copy.Size()
	chunked := false
	switch {
	case coding == "zstd" && known:
		head += fmt.Sprintf("Content-Length: %d\r\n", size)
	case !r.HTTP10:
		head, chunked = head+"Transfer-Encoding: chunked\r\n", true
	}
	if _, err := io.WriteString(out, head+"\r\n"); err != nil || string(r.Method) == "HEAD" {
		return err
	}
	if !chunked {
		return writeBody(out, packed, coding, f, out.pause)
	}
	whole := bufio.NewWriterSize(out, 2*pieceSize) // a chunk in one write, with its length
	body := httputil.NewChunkedWriter(whole)
	if err := writeBody(body, packed, coding, f, out.pause); err != nil {
		return err
	}
	body.Close()
	whole.WriteString("\r\n") // an error comes again
	return whole.Flush()
}

// writeBody writes the torrents in a coding and format.
func writeBody(w io.Writer, packed io.Reader, coding string, f Format, pause *breath) error {
	if coding == "zstd" {
		_, err := io.CopyBuffer(w, packed, make([]byte, pieceSize))
		return err
	}
	decoder, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return err
	}
	defer decoder.Close()
	unpacked := breathingReader{decoder, pause}
	if coding == "" {
		return writeFormat(w, unpacked, f)
	}
	// The packer writes some 250 bytes at a time.
	pieces := bufio.NewWriterSize(w, pieceSize)
	z, err := gzip.NewWriterLevel(pieces, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := writeFormat(z, unpacked, f); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return pieces.Flush()
}

func writeFormat(w io.Writer, unpacked io.Reader, f Format) error {
	if f != Ben {
		return convert(w, unpacked, f)
	}
	// Neither side may take over the copying: pieces have to be small.
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{unpacked}, make([]byte, pieceSize))
	return err
}

// choose returns the coding of an answer; empty: plain.
func choose(accepted []byte, f Format) string {
	var zstd, gzip bool
	for word := range strings.SplitSeq(strings.ToLower(string(accepted)), ",") {
		name, params, _ := strings.Cut(word, ";")
		if q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=0"); ok && strings.Trim(q, ".0") == "" {
			continue
		}
		switch strings.TrimSpace(name) {
		case "zstd":
			zstd = f == Ben
		case "gzip", "x-gzip":
			gzip = true
		}
	}
	switch {
	case zstd:
		return "zstd"
	case gzip:
		return "gzip"
	}
	return ""
}

// unavailable says why there is nothing to send, and when to ask again.
func (s *Scrape) unavailable(conn net.Conn, err error) {
	body := err.Error() + "\n"
	fmt.Fprintf(&connWriter{scrape: s, conn: conn}, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: %d\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", int(Fresh.Seconds()), len(body), body)
}

// packedReader reads the copy.
type packedReader struct {
	ctx  context.Context
	copy *document.Reader
	rest []byte
}

func (p *packedReader) Read(b []byte) (n int, err error) {
	if len(p.rest) == 0 {
		if p.rest, err = p.copy.Next(p.ctx); err != nil {
			return 0, err
		}
	}
	n = copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// connWriter writes to a client, counts what was sent and pauses.
type connWriter struct {
	scrape *Scrape
	conn   net.Conn
	pause  *breath // nil: for a short answer
}

func (w *connWriter) Write(b []byte) (n int, err error) {
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err = w.conn.Write(b)
	w.scrape.sent.Add(uint64(n))
	w.scrape.served(n)
	if w.pause != nil {
		w.pause.take()
	}
	return n, err
}
