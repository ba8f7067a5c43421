package pacer

import (
	"context"
	"time"
)

// run ticks until the context ends, and closes the gate.
func (g *Gate) run(ctx context.Context) error {
	ticker := time.NewTicker(Epoch)
	defer ticker.Stop()
	defer g.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			g.Tick(time.Now()) // not the time at which it was due
		}
	}
}

// run ticks until the context ends, and closes. It calls report when auto goes
// over to another way.
func (w *Writes) run(ctx context.Context, report func(Sharing)) error {
	ticker := time.NewTicker(Epoch)
	defer ticker.Stop()
	defer w.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if present, changed := w.Tick(time.Now(), false); changed {
				report(present)
			}
		}
	}
}
