package load

// failure is why a request got no answer that could be checked.
type failure uint8

const (
	failTimeout failure = iota
	failConnect
	failClosed
	failStatus
	failRefused
	failMalformed
	failures
)

var failureNames = [failures]string{
	failTimeout:   "no answer in time",
	failConnect:   "connecting failed",
	failClosed:    "connection lost",
	failStatus:    "HTTP status",
	failRefused:   "refused by the tracker",
	failMalformed: "malformed answer",
}

// tally is what one worker counts.
type tally struct {
	right   uint64
	wrong   [wrongnesses]uint64
	failed  [failures]uint64
	example [failures]string // the first of each kind
	latency Histogram
}

func (t *tally) fail(f failure, what string) {
	if t.failed[f]++; t.example[f] == "" {
		t.example[f] = what
	}
}

// add adds all that another worker has counted.
func (t *tally) add(other *tally) {
	t.right += other.right
	for i, n := range other.wrong {
		t.wrong[i] += n
	}
	for i, n := range other.failed {
		t.failed[i] += n
		if t.example[i] == "" {
			t.example[i] = other.example[i]
		}
	}
	t.latency.Add(&other.latency)
}

// Count is how often one thing happened.
type Count struct {
	What    string `json:"what"`
	N       uint64 `json:"n"`
	Example string `json:"example,omitempty"` // what was said the first time; may be empty
}

// counts returns what was wrong and what failed, without what did not happen.
func (t *tally) counts() (wrong, failed []Count) {
	for i, n := range t.wrong {
		if n > 0 {
			wrong = append(wrong, Count{What: wrongNames[i], N: n})
		}
	}
	for i, n := range t.failed {
		if n > 0 {
			failed = append(failed, Count{failureNames[i], n, t.example[i]})
		}
	}
	return wrong, failed
}

func total(counts []Count) (n uint64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}
