package dashboard

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

// TestHistory: the latest samples in their order, and one of ten with their mean.
func TestHistory(t *testing.T) {
	var h History
	if s := h.FineSeries(); len(s.Values) != len(Columns)+1 || len(s.Values[0]) != 0 {
		t.Errorf("empty: %v", s)
	}
	for i := range 2*coarseCount*perCoarse + 7 {
		var s Sample
		s.At, s.Values[Lag] = int64(i), float32(i%10)
		coarse, ok := h.Add(s)
		if ok != (i%perCoarse == perCoarse-1) || ok && (coarse.At != int64(i) || coarse.Values[Lag] != 4.5) {
			t.Fatalf("sample %d: %v, %t", i, coarse, ok)
		}
		if i%97 != 0 {
			continue
		}
		for _, tt := range []struct {
			samples []Sample
			added   int
			size    int
			last    int64
			step    int64
		}{{h.Fine(), i + 1, fineCount, int64(i), 1}, {h.Coarse(), (i + 1) / perCoarse, coarseCount, int64((i+1)/perCoarse*perCoarse - 1), perCoarse}} {
			if len(tt.samples) != min(tt.added, tt.size) {
				t.Fatalf("after %d: %d samples of %d", i+1, len(tt.samples), tt.size)
			}
			for j, got := range tt.samples {
				if want := tt.last - int64(len(tt.samples)-1-j)*tt.step; got.At != want {
					t.Fatalf("after %d: sample %d is of %d, want %d", i+1, j, got.At, want)
				}
			}
		}
	}
}

// TestSeries: a column for each name, numbers that JSON has.
func TestSeries(t *testing.T) {
	if len(Columns) != columns {
		t.Fatalf("%d names of %d values", len(Columns), columns)
	}
	var h History
	s := Sample{At: 1500}
	s.Values[Lag], s.Values[Memory], s.Values[Missed] = float32(math.NaN()), float32(math.Inf(1)), 0.1239
	h.Add(s)
	got := h.FineSeries()
	want := make([]float64, columns+1)
	want[0], want[1+Missed] = 1.5, 0.123
	if !reflect.DeepEqual(s.Row(), want) {
		t.Errorf("row %v, want %v", s.Row(), want)
	}
	if _, err := json.Marshal(got); err != nil || len(got.Columns) != len(got.Values) || got.Values[1+Missed][0] != 0.123 {
		t.Errorf("%v: %v", err, got)
	}
}
