package dashboard

import (
	"sync"
	"time"
)

// How much a History holds.
const (
	fineStep   = time.Second
	fineCount  = 300
	perCoarse  = 10 // fine samples in a coarse one
	coarseStep = perCoarse * fineStep
	// coarseCount is an hour.
	coarseCount = 360
)

// Columns are the names of what a sample holds, in its order, as they stand in the JSON.
var Columns = []string{
	"announces_http", "announces_udp", // a second
	"peers_ipv4", "peers_ipv6", "torrents",
	"http_p50_ms", "http_p99_ms", "udp_p50_ms", "udp_p99_ms", // of announces, as those of the last seconds took
	"records_sent", "records_received", // livesync, a second
	"missed",             // livesync packets of others that did not come at once, a second
	"lag_ms",             // the largest of all nodes
	"refused", "pressed", // requests a second that were turned away, and that were answered with less
	"processors", // that the program keeps busy
	"memory_mib",
}

// The places of the values.
const (
	AnnouncesHTTP = iota
	AnnouncesUDP
	PeersIPv4
	PeersIPv6
	Torrents
	HTTPHalf
	HTTPMost
	UDPHalf
	UDPMost
	RecordsSent
	RecordsReceived
	Missed
	Lag
	Refused
	Pressed
	Processors
	Memory
	columns
)

// Sample is what was at one time. There is no pointer in it.
type Sample struct {
	At     int64 // milliseconds since 1970
	Values [columns]float32
}

// History is the samples of the last hour. The zero value is empty; any goroutine may use it.
type History struct {
	mu      sync.Mutex // guards what follows
	fine    [fineCount]Sample
	fines   uint64 // added so far
	coarse  [coarseCount]Sample
	coarses uint64
	sum     [columns]float64 // of those that will be the next coarse one
	summed  int
}

// Add takes in the next sample. Ten of them become a coarse one, their mean at the time of the last, which is returned; else ok is false.
func (h *History) Add(s Sample) (coarse Sample, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fine[h.fines%fineCount] = s
	h.fines++
	for i, v := range s.Values {
		h.sum[i] += float64(v)
	}
	if h.summed++; h.summed < perCoarse {
		return Sample{}, false
	}
	coarse.At = s.At
	for i, sum := range h.sum {
		coarse.Values[i] = float32(sum / perCoarse)
	}
	h.sum, h.summed = [columns]float64{}, 0
	h.coarse[h.coarses%coarseCount] = coarse
	h.coarses++
	return coarse, true
}

// Fine and Coarse return the samples there are, the oldest first.
func (h *History) Fine() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return unroll(h.fine[:], h.fines)
}

func (h *History) Coarse() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return unroll(h.coarse[:], h.coarses)
}

// unroll returns what is in a ring to which so many were added, the oldest first.
func unroll(ring []Sample, added uint64) []Sample {
	size := uint64(len(ring))
	n := min(added, size)
	list := make([]Sample, n)
	for i := range n {
		list[i] = ring[(added-n+i)%size]
	}
	return list
}

// Series are samples as the page wants them: the names, and for each of them its values from the oldest to the latest.
type Series struct {
	Step    float64     `json:"step_s"`
	Columns []string    `json:"columns"` // the time first, in seconds since 1970
	Values  [][]float64 `json:"values"`
}

// FineSeries and CoarseSeries return the history as series.
func (h *History) FineSeries() Series   { return series(fineStep, h.Fine()) }
func (h *History) CoarseSeries() Series { return series(coarseStep, h.Coarse()) }

func series(step time.Duration, samples []Sample) Series {
	s := Series{Step: step.Seconds(), Columns: append([]string{"time"}, Columns...), Values: make([][]float64, columns+1)}
	for i := range s.Values {
		s.Values[i] = make([]float64, len(samples))
	}
	for i := range samples {
		for j, v := range samples[i].Row() {
			s.Values[j][i] = v
		}
	}
	return s
}

// Row returns the time in seconds and the values, with three places after the point: more is noise.
func (s *Sample) Row() []float64 {
	row := make([]float64, columns+1)
	row[0] = float64(s.At) / 1000
	for i, v := range s.Values {
		row[i+1] = round(float64(v))
	}
	return row
}

// round rounds to thousandths. What is no number, or none that JSON has, is zero.
func round(v float64) float64 {
	const most = 1e15
	if !(v > -most && v < most) {
		return 0
	}
	return float64(int64(v*1000)) / 1000
}

// Announces returns the announces a second over all protocols.
func (s *Sample) Announces() float64 {
	return round(float64(s.Values[AnnouncesHTTP]) + float64(s.Values[AnnouncesUDP]))
}
