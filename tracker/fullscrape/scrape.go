package fullscrape

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"starling/tracker"
	"starling/tracker/document"
	"starling/wire"
)

// Bounds of the copy.
const (
	// Fresh is how old a copy may be before somebody who asks has another one made.
	Fresh = time.Minute
	// keep is how old a copy may be and still be given to those who ask while another one is made.
	keep = 10 * time.Minute
	// patience bounds the making of a copy and the waiting for it.
	patience = 10 * time.Minute
	// maxCopy bounds the copy: that of 100 M torrents is half as long.
	maxCopy = 5 << 30
	// window is how far back the packed copy refers, and so what unpacking holds.
	window = 128 << 10
)

// Scrape is the scrape of all torrents of a tracker. Its methods may be called by any goroutine.
type Scrape struct {
	store  *tracker.Tracker
	copy   *document.Document
	tops   map[string]*document.Document
	served func(bytes int)
	loan   loan // for the copy; whoever makes one changes it

	answered, sent atomic.Uint64
}

// New returns the scrape of all torrents of a tracker. What is on its way at once is bounded by the admission; served is told how
// many bytes were sent to a client, piece by piece.
func New(store *tracker.Tracker, admission *document.Admission, served func(bytes int)) *Scrape {
	s := &Scrape{store: store, served: served, tops: map[string]*document.Document{
		"top10": newTop(store, 10), "top100": newTop(store, 100),
	}}
	s.copy = document.New(document.Config{
		Build: s.build, Fresh: Fresh, Keep: keep, Timeout: patience, MaxSize: maxCopy, Admission: admission,
	})
	return s
}

// Counts is what was served so far.
type Counts struct {
	Answered uint64 // whole, of any format
	Bytes    uint64 // sent, of answers that broke off as well
	Copy     document.Counts
}

// Counts returns what was served so far.
func (s *Scrape) Counts() Counts { return Counts{s.answered.Load(), s.sent.Load(), s.copy.Counts()} }

// build writes the packed copy.
func (s *Scrape) build(ctx context.Context, w io.Writer) error {
	copied := loan{budget: s.store.Budget()}
	err := s.write(ctx, borrowing{w, &copied})
	if err == nil {
		s.loan, copied = copied, s.loan
	}
	copied.end()
	return err
}

func (s *Scrape) write(ctx context.Context, w io.Writer) error {
	all := rows{loan: loan{budget: s.store.Budget()}}
	defer all.loan.end()
	pause := newBreath()
	defer pause.close()
	pause.take()
	for census, more := (tracker.Census{}), true; more; pause.take() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if more = s.store.Count(&census, all.add); all.loan.refused {
			return errMemory
		}
	}
	pack, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window))
	if err != nil {
		return err
	}
	defer pack.Close() // again, when it was closed below
	piece := append(make([]byte, 0, 2*pieceSize), wire.ScrapeBegin...)
	var files []wire.ScrapeFile
	for bucket := range all.buckets {
		files = all.take(bucket, files, pause.take)
		for i := range files {
			if piece = files[i].Append(piece); len(piece) < pieceSize {
				continue
			}
			if _, err := pack.Write(piece); err != nil {
				return err
			}
			piece = piece[:0]
			pause.take()
		}
		pause.take()
	}
	if _, err := pack.Write(append(piece, wire.ScrapeEnd...)); err != nil {
		return err
	}
	return pack.Close()
}

// pieceSize is how much is packed, unpacked or sent at a time.
const pieceSize = 32 << 10
