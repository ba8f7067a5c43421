package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// families reads a page of metrics as Prometheus does.
func families(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("the page cannot be read: %v\n%s", err, page)
	}
	return all
}

// metricsOf asks a node.
func metricsOf(t *testing.T, admin string) map[string]*dto.MetricFamily {
	t.Helper()
	_, page := get(t, "http://"+admin+"/metrics")
	return families(t, []byte(page))
}

// labelsOf returns the labels of a sample, sorted, in one string.
func labelsOf(m *dto.Metric) string {
	var all []string
	for _, l := range m.Label {
		all = append(all, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// TestMetricsFormat holds the whole page to the rules of the format and to the conventions for names, units and helps.
func TestMetricsFormat(t *testing.T) {
	now := time.Now()
	f, _ := everything(now)
	page := f.page(now)
	all := families(t, page)
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(customary, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	headers := make(map[string]int)
	for line := range bytes.Lines(page) {
		if fields := strings.Fields(string(line)); fields[0] == "#" {
			headers[fields[1]+" "+fields[2]]++
		}
	}
	for name, f := range all {
		if headers["HELP "+name] != 1 || headers["TYPE "+name] != 1 || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has no HELP and TYPE of its own, or several", name)
		}
		if !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: the help is no sentence: %s", name, f.GetHelp())
		}
		seen := make(map[string]bool)
		for _, m := range f.Metric {
			if key := labelsOf(m); seen[key] {
				t.Errorf("%s{%s} is there twice", name, key)
			} else {
				seen[key] = true
			}
			if h := m.Histogram; h != nil {
				checkHistogram(t, name, h)
			}
		}
	}
}

// customary are names that tools know although the linter would have others.
var customary = []string{"go_memstats_alloc_bytes_total"}

// checkHistogram holds a histogram to its own rules.
func checkHistogram(t *testing.T, name string, h *dto.Histogram) {
	t.Helper()
	bound, count := math.Inf(-1), uint64(0)
	for _, b := range h.Bucket {
		if b.GetUpperBound() <= bound || b.GetCumulativeCount() < count {
			t.Errorf("%s: bucket %v does not go on from %v, %d", name, b, bound, count)
		}
		bound, count = b.GetUpperBound(), b.GetCumulativeCount()
	}
	if !math.IsInf(bound, 1) || count != h.GetSampleCount() {
		t.Errorf("%s: the last bucket ends at %v with %d of %d", name, bound, count, h.GetSampleCount())
	}
}

// TestCountersGrow: no counter, bucket or sum is less after a load than before it, and none goes away.
func TestCountersGrow(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--announce-rate", "1000/s")
	before := metricsOf(t, s.Admin)
	for i := range uint16(20) {
		announce(t, "http", s.HTTP[0], 1000+i)
		announce(t, "udp", s.UDP[0], 2000+i)
	}
	var after map[string]*dto.MetricFamily
	await(t, "every announce is in a histogram, where it is counted after its answer left", func() bool {
		after = metricsOf(t, s.Admin)
		return !slices.ContainsFunc(after["starling_announce_duration_seconds"].Metric, func(m *dto.Metric) bool { return m.Histogram.GetSampleCount() < 20 })
	})
	for name, f := range before {
		later := make(map[string]*dto.Metric)
		for _, m := range after[name].GetMetric() {
			later[labelsOf(m)] = m
		}
		for _, m := range f.Metric {
			now := later[labelsOf(m)]
			if now == nil {
				t.Errorf("%s{%s} went away", name, labelsOf(m))
				continue
			}
			if now.GetCounter().GetValue() < m.GetCounter().GetValue() || now.GetHistogram().GetSampleCount() < m.GetHistogram().GetSampleCount() ||
				now.GetHistogram().GetSampleSum() < m.GetHistogram().GetSampleSum() || now.GetSummary().GetSampleSum() < m.GetSummary().GetSampleSum() {
				t.Errorf("%s{%s} went from %v to %v", name, labelsOf(m), m, now)
			}
		}
	}
	for _, m := range after["starling_announce_duration_seconds"].Metric {
		if h := m.Histogram; h.GetSampleCount() != 20 || h.GetSampleSum() <= 0 || h.GetSampleSum() > 20*patience.Seconds() {
			t.Errorf("20 announces are in the histogram %s as %v", labelsOf(m), h)
		}
	}
}

// TestExposition: whatever a label or a help has in it, the page can be read and says it.
func TestExposition(t *testing.T) {
	e := new(exposition)
	const strange = "a\"b\\c\nd,e}=é\x01"
	e.gauge("one", "A help with \\ and \n in it.").sample(1.5, "first", strange, "second", "").sample(math.Inf(1), "first", "x", "second", "\xff")
	e.family("starling_two", "histogram", "Some.").histogram([]float64{1e-6, 0.5}, []uint64{1, 0, 2}, 7.25, "protocol", "udp")
	all := families(t, []byte(e.b.String()))
	one := all["starling_one"]
	if one.GetHelp() != "A help with \\ and \n in it." || one.Metric[0].Label[0].GetValue() != strange || one.Metric[0].Gauge.GetValue() != 1.5 ||
		!math.IsInf(one.Metric[1].Gauge.GetValue(), 1) || one.Metric[1].Label[1].GetValue() != "?" {
		t.Errorf("got %v", one)
	}
	h := all["starling_two"].Metric[0].Histogram
	checkHistogram(t, "two", h)
	if h.GetSampleCount() != 3 || h.GetSampleSum() != 7.25 || h.Bucket[0].GetCumulativeCount() != 1 || h.Bucket[0].GetUpperBound() != 1e-6 || h.Bucket[1].GetCumulativeCount() != 1 {
		t.Errorf("got %v", h)
	}
}

// TestProcessMetrics: what the system says of this process is there and can be true.
func TestProcessMetrics(t *testing.T) {
	e := new(exposition)
	e.runtime()
	e.process()
	all := families(t, []byte(e.b.String()))
	value := func(name string) float64 {
		f := all[name]
		if f == nil {
			t.Fatalf("%s is missing: there is %v", name, slices.Sorted(maps.Keys(all)))
		}
		return f.Metric[0].GetGauge().GetValue() + f.Metric[0].GetCounter().GetValue()
	}
	now := float64(time.Now().Unix())
	for name, bounds := range map[string][2]float64{
		"process_cpu_seconds_total": {1e-6, 1e6}, "process_resident_memory_bytes": {1 << 20, 1 << 36}, "process_virtual_memory_bytes": {1 << 20, 1 << 50},
		"process_open_fds": {3, 1e6}, "process_max_fds": {16, 1 << 63}, "process_start_time_seconds": {now - 86400, now + 5},
		"go_goroutines": {2, 1e6}, "go_threads": {1, 1e4}, "go_info": {1, 1}, "go_memstats_alloc_bytes": {1 << 10, 1 << 36},
		"go_memstats_heap_objects": {100, 1e9}, "go_memstats_next_gc_bytes": {1 << 20, 1 << 36}, "go_sched_gomaxprocs_threads": {1, 1024},
	} {
		if v := value(name); v < bounds[0] || v > bounds[1] {
			t.Errorf("%s is %v, not between %v and %v", name, v, bounds[0], bounds[1])
		}
	}
	if got := len(all["go_gc_duration_seconds"].Metric[0].Summary.Quantile); got != 5 {
		t.Errorf("%d quantiles of the pauses", got)
	}
}
