package livesync

import (
	"testing"
	"time"
)

// TestLate: how late the latest packets were is reckoned against the best, so that clocks need not agree, and bounded.
func TestLate(t *testing.T) {
	var l lags
	if l.late() != 0 {
		t.Error("late without a sample")
	}
	next := uint32(0)
	for _, c := range []struct{ took, want time.Duration }{
		{-time.Hour, 0}, {-time.Hour + 5*time.Second, 5 * time.Second}, {-time.Hour + time.Second, time.Second}, {0, mostLate}, {-2 * time.Hour, 0},
	} {
		next++
		l.said(epoch, next)
		l.applied(epoch.Add(c.took), next)
		if l.late() != c.want {
			t.Errorf("%v: %v, want %v", c.took, l.late(), c.want)
		}
	}
}
