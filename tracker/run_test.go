package tracker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestRun lets the tracker forget a peer by itself.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(Config{Seed: &[32]byte{}}, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tr.Run(ctx) }()
		seen(tr, time.Now(), hashOf(1), peer4(1))
		<-time.After(DefaultPeerTimeout)
		synctest.Wait()
		if tr.Torrents() != 1 {
			t.Error("a peer was forgotten early")
		}
		<-time.After(2 * DefaultPeerTimeout / 60)
		synctest.Wait()
		if tr.Torrents() != 0 {
			t.Error("a silent peer was not forgotten")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
