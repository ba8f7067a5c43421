package pacer

import "time"

// Debt paces work whose speed is not ours: a tell that we ask another node for
// comes as fast as that node sends. So the whole of it is charged at once and
// drains at the ceiling of its class; until it is paid off we do not ask again.
// On the average that keeps the ceiling.
//
// A Debt has no lock: its holder guards it.
type Debt struct{ owed Bucket }

// NewDebt returns a paid-off debt that drains at a rate in tokens a second.
func NewDebt(ceil int64, now time.Time) *Debt {
	return &Debt{owed: NewBucket(ceil, 1, now)}
}

// Charge adds work that was asked for, or came in addition. What was charged
// and did not come is given back with n below zero, and what more is given
// back than there is debt is no credit.
func (d *Debt) Charge(now time.Time, n int64) {
	if n < 0 {
		d.owed.Refund(now, -n)
		return
	}
	d.owed.Charge(now, n)
}

// Wait returns how long it is until the debt is paid off: 0, ask.
func (d *Debt) Wait(now time.Time) time.Duration { return d.owed.Wait(now) }

// SetRate changes the ceiling.
func (d *Debt) SetRate(now time.Time, ceil int64) { d.owed.SetRate(now, ceil, 1) }
