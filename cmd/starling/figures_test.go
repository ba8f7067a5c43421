package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

// filler fills values with numbers, strings and times that are all different.
type filler struct {
	now     time.Time
	last    int64
	numbers map[string]float64 // by path: what a metric of it shows
}

// everything returns figures that have something in each place, and the numbers by where they stand.
func everything(now time.Time) (*figures, map[string]float64) {
	f := filler{now: now, last: 1_000_000, numbers: make(map[string]float64)}
	all := new(figures)
	f.fill(reflect.ValueOf(all).Elem(), "")
	for i, unit := range []string{"bytes", "requests"} { // the names of metrics have it
		all.Pacing.Trees[i].Unit = unit
	}
	return all, f.numbers
}

// number returns one that was not there yet, and notes it for a path.
func (f *filler) number(path string) int64 {
	f.last += 7
	f.numbers[path] = float64(f.last)
	return f.last
}

// fill fills v, which stands at path.
func (f *filler) fill(v reflect.Value, path string) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time: // so long ago
		*p = f.now.Add(-time.Duration(f.number(path)) * time.Second)
		return
	case *time.Duration:
		*p = time.Duration(f.number(path)) * time.Second
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				name := path + "." + field.Name
				if path == "" {
					name = field.Name
				}
				f.fill(v.Field(i), name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), path+"[]")
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		f.fill(value, path+"{}")
		v.SetMapIndex(reflect.ValueOf("rate"), value) // the name of an offence, where these are counted
	default:
		f.fillPlain(v, path)
	}
}

// fillPlain fills a number, a string or a truth.
func (f *filler) fillPlain(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		f.last++
		v.SetString(fmt.Sprint("s", f.last))
	case reflect.Uint8: // a byte of an id, or a choice
		f.last++
		v.SetUint(uint64(f.last % 251))
	case reflect.Int, reflect.Int64:
		v.SetInt(f.number(path))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.number(path)))
		if v.Kind() == reflect.Uint16 {
			delete(f.numbers, path) // a port
		}
	case reflect.Float64:
		v.SetFloat(float64(f.number(path)))
	default:
		panic(fmt.Sprintf("%s is %s: say how it is filled", path, v.Type()))
	}
}

// noMetrics are the numbers that are in no metric, and why.
var noMetrics = map[string]string{
	"Beacon":                            "a bound that starling_node_up is made with",
	"Pacing.Jail.Clients[].Left":        "of single clients",
	"Pacing.Trees[].Classes[].Depth":    "of the configuration",
	"Pacing.Trees[].Classes[].Priority": "of the configuration",
	"Snapshots.At":                      "a time ago here, a point in time there",
	"Store.Renewed[]":                   "it has its own page, /stats?mode=renew",
	"Started":                           "a time ago here, a point in time there",
	"Sync.Epoch":                        "the number of a start",
	"Sync.Nodes[].Epoch":                "the number of a start",
	"Sync.Self.Capacity":                "Pacing.AnnounceRate",
	"Sync.Self.Peers":                   "Store.Peers4 and Peers6, as they were told",
}

// TestEverythingIsExported: what the program counts is on the page.
func TestEverythingIsExported(t *testing.T) {
	now := time.Now()
	all, numbers := everything(now)
	all.Sync.Mode = "keyed"
	for i := range all.Sync.Nodes {
		all.Sync.Nodes[i].Mode = "keyed"
	}
	shown := make(map[float64]bool)
	for _, f := range families(t, all.page(now)) {
		for _, m := range f.Metric {
			for _, v := range []float64{m.GetGauge().GetValue(), m.GetCounter().GetValue(), m.GetHistogram().GetSampleSum()} {
				shown[v] = true
			}
			last := uint64(0)
			for _, b := range m.GetHistogram().GetBucket() {
				shown[float64(b.GetCumulativeCount()-last)] = true
				last = b.GetCumulativeCount()
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(numbers)) {
		why, left := noMetrics[path]
		switch {
		case left && shown[numbers[path]]:
			t.Errorf("%s is exported, and yet listed as left out: %s", path, why)
		case !left && !shown[numbers[path]]:
			t.Errorf("%s is in no metric: add a line for it where the figures next to it have theirs, or say here why not", path)
		}
	}
}
