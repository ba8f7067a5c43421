package dashboard

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	frameInterval = time.Second
	// writePatience is for how long a reader may take nothing before it is let go.
	writePatience = 10 * time.Second
)

// Hub tells all readers once a second what is new, by server-sent events.
type Hub struct {
	most  int
	frame func(now time.Time) []byte
	wake  chan struct{} // there is a reader again

	mu      sync.Mutex // guards what follows
	readers map[chan []byte]struct{}
	latest  []byte // nil: nobody was told anything within the last second
	closed  bool
}

// NewHub returns a hub for so many readers at most. frame makes what they are told, one line; it is called once
// a second by one goroutine while there are readers.
func NewHub(most int, frame func(now time.Time) []byte) *Hub {
	return &Hub{most: most, frame: frame, wake: make(chan struct{}, 1), readers: make(map[chan []byte]struct{})}
}

// Run tells the readers until ctx ends, and then lets them go.
func (h *Hub) Run(ctx context.Context) error {
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		}
		if err := h.tell(ctx); err != nil {
			return nil
		}
	}
}

// tell tells the readers until there are none, which is no error, or ctx ends.
func (h *Hub) tell(ctx context.Context) error {
	ticker := time.NewTicker(frameInterval)
	defer ticker.Stop()
	for {
		if !h.send(h.frame(time.Now())) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// send gives all readers a frame, in the place of one that they have not taken yet, and reports whether there are any.
func (h *Hub) send(frame []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = frame
	for r := range h.readers {
		select {
		case <-r:
		default:
		}
		r <- frame // there is room for one, and the lock is held
	}
	if len(h.readers) == 0 {
		h.latest = nil
		return false
	}
	return true
}

// close lets all readers go, and takes no more.
func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.readers {
		close(r)
		delete(h.readers, r)
	}
}

// errFull says that there are as many readers as there may be.
var errFull = errors.New("as many read this as may at once; try again later")

// join returns the channel of a new reader. While others read, it has the latest frame at once: however often somebody comes and goes,
// no more frames are made.
func (h *Hub) join() (chan []byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.readers) >= h.most {
		return nil, errFull
	}
	r := make(chan []byte, 1)
	h.readers[r] = struct{}{}
	if h.latest != nil {
		r <- h.latest
	}
	select {
	case h.wake <- struct{}{}:
	default: // it is to wake already
	}
	return r, nil
}

func (h *Hub) leave(r chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

// Readers returns how many there are.
func (h *Hub) Readers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers)
}

// ServeHTTP makes the client a reader until it goes. The time that a server allows for an answer does not count here: instead
// each event has to be taken within its own.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	events, err := h.join()
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer h.leave(events)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front is to pass on each event
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Time{}) // who cannot be given one has none
	var event []byte
	for {
		select {
		case <-r.Context().Done():
			return
		case frame, ok := <-events:
			if !ok {
				return
			}
			event = append(event[:0], "data: "...)
			event = append(append(event, frame...), "\n\n"...)
			out.SetWriteDeadline(time.Now().Add(writePatience))
			if _, err := w.Write(event); err != nil || out.Flush() != nil {
				return
			}
		}
	}
}
