package fullscrape

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"starling/tracker"
	"starling/tracker/document"
)

// topFresh is how old a list of the top torrents may be.
const topFresh = 10 * time.Second

// newTop returns opentracker's list of so many torrents with the most peers and with the most seeders, info hashes in capitals.
func newTop(store *tracker.Tracker, most int) *document.Document {
	return document.New(document.Config{
		Fresh: topFresh, Keep: time.Minute, Timeout: patience, MaxSize: 1 << 20,
		Build: func(ctx context.Context, w io.Writer) error {
			byPeers := tracker.NewRanking(most, (*tracker.Counted).Peers)
			bySeeders := tracker.NewRanking(most, func(t *tracker.Counted) uint64 { return uint64(t.Seeders) })
			pause := newBreath()
			defer pause.close()
			pause.take()
			for census, more := (tracker.Census{}), true; more; pause.take() {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				more = store.Count(&census, func(t tracker.Counted) {
					byPeers.Add(t)
					bySeeders.Add(t)
				})
			}
			fmt.Fprintf(w, "Top %d torrents by peers:\n", most)
			for _, t := range byPeers.Best() {
				fmt.Fprintf(w, "\t%d\t%s\n", t.Peers(), strings.ToUpper(t.InfoHash.String()))
			}
			fmt.Fprintf(w, "Top %d torrents by seeds:\n", most)
			for _, t := range bySeeders.Best() {
				fmt.Fprintf(w, "\t%d\t%s\n", t.Seeders, strings.ToUpper(t.InfoHash.String()))
			}
			return nil // a text that does not take it says so itself
		},
	})
}

// Top returns the list of the top 10 or 100 torrents, by opentracker's name of the mode; false: there is no such list.
func (s *Scrape) Top(ctx context.Context, mode string) (text []byte, ok bool, err error) {
	d := s.tops[mode]
	if d == nil {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := d.Get(time.Now())
	if err != nil {
		return nil, true, err
	}
	defer r.Close()
	for {
		b, err := r.Next(ctx)
		if err == io.EOF {
			return text, true, nil
		}
		if err != nil {
			return nil, true, err
		}
		text = append(text, b...)
	}
}
