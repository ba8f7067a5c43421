package document

import (
	"sync"

	"starling/tracker/pacer"
)

// Admission bounds the documents that are on their way to clients by what the
// line carries, so that all of them get on. One may be shared by several documents.
type Admission struct {
	bandwidth func() uint64

	mu    sync.Mutex // guards heavy
	heavy pacer.Heavy
}

// NewAdmission returns an admission by a bandwidth in bytes a second, which it
// asks each time: a recorder's.
func NewAdmission(bandwidth func() uint64) *Admission { return &Admission{bandwidth: bandwidth} }

// start admits a document of a size, or not. None is asked when there is no admission.
func (a *Admission) start(size uint64) bool {
	if a == nil {
		return true
	}
	rate := a.bandwidth()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heavy.Start(size, rate)
}

// end takes back what start admitted.
func (a *Admission) end(size uint64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heavy.End(size)
}

// Live returns how many documents are on their way.
func (a *Admission) Live() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heavy.Live()
}
