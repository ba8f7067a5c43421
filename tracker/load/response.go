package load

import (
	"bytes"
	"errors"
)

// maxResponse is the longest response that is read: an answer of 50 peers is a tenth of it.
const maxResponse = 16 << 10

var (
	errMore     = errors.New("the response goes on")
	errResponse = errors.New("not an HTTP response, or one with its body in chunks")
)

// response is an HTTP response. The body points into the buffer it was read from.
type response struct {
	status int
	body   []byte
	size   int  // bytes of the whole response; -1: it ends with the connection
	close  bool // the tracker closes the connection after it
}

// parseResponse reads the response at the start of b without allocating; errMore: it is not all there. A
// response without a length ends with the connection: its body is what there is.
func parseResponse(b []byte) (response, error) {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	if head < 0 {
		return response{}, errMore
	}
	r, lines, err := parseStatus(b[:head+2])
	if err != nil {
		return response{}, err
	}
	length := -1
	for len(lines) > 0 {
		end := bytes.Index(lines, []byte("\r\n"))
		name, value, ok := bytes.Cut(lines[:end], []byte(":"))
		if !ok {
			return response{}, errResponse
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length = parseLength(value); length < 0 {
				return response{}, errResponse
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return response{}, errResponse
		case bytes.EqualFold(name, []byte("Connection")):
			r.close = bytes.EqualFold(value, []byte("close")) || r.close && !bytes.EqualFold(value, []byte("keep-alive"))
		}
		lines = lines[end+2:]
	}
	r.body, r.size = b[head+4:], -1
	if length >= 0 {
		if len(r.body) < length {
			return response{}, errMore
		}
		r.body, r.size = r.body[:length], head+4+length
	}
	r.close = r.close || r.size < 0
	return r, nil
}

// parseStatus reads the first line, "HTTP/1.1 200 OK", and returns the lines after it.
func parseStatus(b []byte) (r response, rest []byte, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	line := b[:end]
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return r, nil, errResponse
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return r, nil, errResponse
		}
		r.status = 10*r.status + int(c-'0')
	}
	r.close = line[7] == '0'
	return r, b[end+2:], nil
}

// parseLength reads a Content-Length, -1 when it is none or too much.
func parseLength(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		if n = 10*n + int(c-'0'); n > maxResponse {
			return -1
		}
	}
	if len(b) == 0 {
		return -1
	}
	return n
}
