package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// group runs loops that live and die together: until the context ends, or one of them fails.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error // of the first loop that failed; read after wg.Wait
}

func newGroup(ctx context.Context) *group {
	g := new(group)
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// start runs a loop. Its failure ends the others and is told under its name.
func (g *group) start(name string, loop func(context.Context) error) {
	g.wg.Go(func() {
		if err := loop(g.ctx); err != nil {
			g.once.Do(func() { g.err = fmt.Errorf("%s: %w", name, err) })
			g.cancel()
		}
	})
}

// done is closed when the loops are to end.
func (g *group) done() <-chan struct{} { return g.ctx.Done() }

// end ends the loops, waits for them and returns why the first of them failed, nil when none did.
func (g *group) end() error {
	g.cancel()
	g.wg.Wait()
	return g.err
}

// endWithin ends the loops and waits for them, though not for longer than d: what runs then is left to itself.
func (g *group) endWithin(d time.Duration) {
	g.cancel()
	ended := make(chan struct{})
	go func() {
		g.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(d):
	}
}
