package fullscrape

import "time"

// breathe is how long is worked at a time. The pause after it is as long, and the system makes it a millisecond at least; it is
// no longer than maxPause, however long a client or the system let us wait.
const (
	breathe  = 500 * time.Microsecond
	maxPause = 2 * time.Millisecond
)

// breath lets others have the processor: the scheduler would leave it to whoever computes for 10 ms at a time, and a client
// whose announce comes meanwhile should not wait for that.
type breath struct {
	began time.Time // this piece of work; zero: there was none
}

// take pauses when it is time. It is called after each piece of work, which should take much less than breathe.
func (b *breath) take() {
	now := time.Now()
	if b.began.IsZero() {
		b.began = now
	}
	if worked := now.Sub(b.began); worked >= breathe {
		time.Sleep(min(worked, maxPause))
		b.began = time.Now()
	}
}
