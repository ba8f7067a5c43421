package document

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP answers with the document. A stale copy is marked as one by Age and
// Cache-Status (RFC 9211); where there is nothing to serve the answer is 503 with Retry-After. A
// document that breaks off while it is sent breaks the connection off: nobody shall take it for whole.
func (d *Document) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), d.cfg.Timeout)
	defer cancel()
	r, err := d.Get(time.Now())
	if err != nil {
		d.unavailable(w, err)
		return
	}
	defer r.Close()
	b, err := r.Next(ctx)
	if err != nil && err != io.EOF {
		d.unavailable(w, err)
		return
	}
	whole := d.head(w.Header(), r)
	for ; err == nil; b, err = r.Next(ctx) {
		n, gone := w.Write(b)
		if d.cfg.Served != nil && req.Method != http.MethodHead {
			d.cfg.Served(n)
		}
		if gone != nil {
			return
		}
		if !whole {
			http.NewResponseController(w).Flush() // what it cannot do, it need not
		}
	}
	if err != io.EOF {
		panic(http.ErrAbortHandler)
	}
}

// head fills in the head of an answer and reports whether the length is in it.
func (d *Document) head(h http.Header, r *Reader) (whole bool) {
	h.Set("Content-Type", d.cfg.ContentType)
	h.Set("Cache-Control", "no-store")
	if age, stale := r.Stale(); stale {
		h.Set("Age", strconv.Itoa(int(age.Seconds())))
		h.Set("Cache-Status", fmt.Sprintf("starling; hit; ttl=%d", int((d.cfg.Fresh-age).Seconds())))
	}
	size, whole := r.Size()
	if whole {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	return whole
}

// unavailable says why there is nothing to serve, and when to ask again.
func (d *Document) unavailable(w http.ResponseWriter, err error) {
	wait := (d.cfg.Fresh + time.Second - 1) / time.Second
	w.Header().Set("Retry-After", strconv.Itoa(int(max(1, wait))))
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
