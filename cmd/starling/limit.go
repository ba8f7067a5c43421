package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"starling/tracker/pacer"
)

// maxLimitBody bounds the body of a request that sets a limit: it holds one rate.
const maxLimitBody = 256

// limitStatus is the answer of /api/v1/limit.
type limitStatus struct {
	Requested bool   `json:"requested"`
	Limit     int64  `json:"bytes_per_second"`          // 0: there is none
	InForce   int64  `json:"in_force_bytes_per_second"` // the least of this, --rate and the share of --uplink; 0: unlimited
	Observed  uint64 `json:"bandwidth_bytes_per_second"`
}

// serveLimit shows the hard limit.
func (n *node) serveLimit(w http.ResponseWriter, _ *http.Request) {
	st := n.steering.state(time.Now())
	serveJSON(w, http.StatusOK, limitStatus{
		Requested: st.limit > 0, Limit: st.limit, InForce: st.rate,
		Observed: observed(n.steering.pacing.Recorder().Bandwidth()),
	})
}

// observed returns a bandwidth as JSON has it: 0 while nothing is known.
func observed(bandwidth uint64) uint64 {
	if bandwidth == pacer.Unlimited {
		return 0
	}
	return bandwidth
}

// putLimit asks for a hard limit: PUT /api/v1/limit?rate=5MB/s, or the rate as the body.
func (n *node) putLimit(w http.ResponseWriter, r *http.Request) {
	s, err := limitText(r)
	var limit int64
	if err == nil {
		err = setRate(&limit, pacer.Bytes)(s)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.changeLimit(w, r, limit)
}

// deleteLimit takes the hard limit away.
func (n *node) deleteLimit(w http.ResponseWriter, r *http.Request) { n.changeLimit(w, r, 0) }

// limitText returns the rate as it was written.
func limitText(r *http.Request) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, values := range query {
		if name != "rate" || len(values) != 1 {
			return "", fmt.Errorf("parameter %s: there is only rate, once", name)
		}
	}
	if query.Has("rate") {
		return query.Get("rate"), nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxLimitBody+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxLimitBody:
		return "", fmt.Errorf("the body is longer than %d bytes, which no rate is", maxLimitBody)
	case len(b) == 0:
		return "", errors.New("rate: missing, as in PUT /api/v1/limit?rate=5MB/s")
	}
	return strings.TrimSpace(string(b)), nil
}

func (n *node) changeLimit(w http.ResponseWriter, r *http.Request, limit int64) {
	if err := n.steering.setLimit(time.Now(), limit); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	n.log.Info().Int64("bytes_per_second", limit).Str("from", r.RemoteAddr).Msg("another hard limit was asked for; 0 is none")
	what := "no hard limit any more"
	if limit > 0 {
		what = "hard limit of " + bytesRate(limit)
	}
	n.events.add(time.Now(), eventLimit, fmt.Sprintf("%s, asked for from %s", what, r.RemoteAddr))
	n.serveLimit(w, r)
}
