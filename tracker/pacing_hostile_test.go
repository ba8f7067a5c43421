package tracker

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPacedWrongRequests floods a server with requests that are wrong, many at a time on each connection. They wait for tokens as others do,
// and the announces have what is assured to them and what they may borrow.
func TestPacedWrongRequests(t *testing.T) {
	const rate, floods, clients, seconds = 100_000, 50, 20, 10
	inPacedBubble(t, PacingConfig{Rate: rate}, func(b *pacedBubble) {
		a := arrivals{start: time.Now(), steps: make([]int64, 100*seconds), got: map[int]int64{}}
		end := a.start.Add(seconds * time.Second)
		flood := strings.Repeat(get("/nothing"), 20)
		var all sync.WaitGroup
		for i := range floods {
			all.Go(func() {
				for time.Now().Before(end) {
					c := b.dialFrom(clientAt(1000 + i))
					c.SetDeadline(end)
					go func() {
						for _, err := io.WriteString(c, flood); err == nil; _, err = io.WriteString(c, flood) {
						}
					}()
					io.Copy(io.Discard, bufio.NewReader(c))
					c.Close()
				}
			})
		}
		for i := range clients {
			all.Go(func() { b.askUntil(end, i, announceTarget(1, "compact", "1"), &a, nil) })
		}
		all.Wait()
		var announces int64
		for _, n := range a.got {
			announces += n
		}
		t.Log(float64(announces)/(rate*seconds), b.pacing.Stats(time.Now()).Steps, b.Counts().Refused)
		if part := float64(announces) / (rate * seconds); part < 0.6 {
			t.Errorf("the announces had %.2f of the rate", part)
		}
	})
}

// TestPacedLimitGoes takes the limit away while requests wait: they are answered at once, and with all their peers.
func TestPacedLimitGoes(t *testing.T) {
	inPacedBubble(t, PacingConfig{Rate: 1000}, func(b *pacedBubble) {
		start := time.Now()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				b.askUntil(start.Add(time.Millisecond), i, announceTarget(1, "compact", "1"), nil, func(_ *http.Response, body string) {
					if strings.Contains(body, "5:peers0:") {
						t.Errorf("client %d has no peers after %v", i, time.Since(start))
					}
				})
			})
		}
		<-time.After(300 * time.Millisecond)
		if err := b.pacing.SetRate(time.Now(), 0); err != nil {
			t.Error(err)
		}
		all.Wait()
		if took := time.Since(start); took > 320*time.Millisecond {
			t.Errorf("the last one is answered after %v", took)
		}
	})
}
