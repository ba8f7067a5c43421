package pacer

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		s    string
		want int64
		unit Unit
	}{
		{"200/s", 200, Requests}, {"2000.4/s", 2000, Requests},
		{"800KB/s", 800_000, Bytes}, {"10MB/s", 10_000_000, Bytes}, {"1.5MB/s", 1_500_000, Bytes},
		{"2GB/s", 2e9, Bytes}, {"1B/s", 1, Bytes}, {"10MiB/s", 10 << 20, Bytes}, {"1KiB/s", 1 << 10, Bytes}, {"3GiB/s", 3 << 30, Bytes},
	} {
		if got, unit, err := ParseRate(c.s); got != c.want || unit != c.unit || err != nil {
			t.Errorf("%q: %d %v %v, want %d %v", c.s, got, unit, err, c.want, c.unit)
		}
	}
	for _, s := range []string{
		"", "/s", "10", "10MB", "0/s", "0.4/s", "-5/s", "-5MB/s", "10 MB/s", "10mb/s", "1e3/s", "0x10/s",
		"inf/s", "NaN/s", "MB/s", "1..5/s", "1_000/s", "99999999999999999999GB/s", "10MB/s ", "30%",
	} {
		if got, _, err := ParseRate(s); err == nil {
			t.Errorf("%q is taken as %d", s, got)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q: the error does not say it: %v", s, err)
		}
	}
}

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		s    string
		unit Unit
		want int64 // of a parent that has 1000
	}{
		{"30%", Requests, 300}, {"0.1%", Bytes, 1}, {"100%", Bytes, 1000}, {"33.3333%", Requests, 333},
		{"20/s", Requests, 20}, {"5KB/s", Bytes, 5000},
	} {
		a, err := ParseAmount(c.s, c.unit)
		if err != nil || a.of(1000) != c.want {
			t.Errorf("%q: %d %v, want %d", c.s, a.of(1000), err, c.want)
		}
	}
	for _, s := range []string{"0%", "-1%", "100.1%", "%", "x%", "0.00001%", "1e1%", "5KB/s", "0/s", "", "NaN%"} {
		if _, err := ParseAmount(s, Requests); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if _, err := ParseAmount("20/s", Bytes); err == nil {
		t.Error("requests are taken for bytes")
	}
}

// FuzzParseRate: whatever is taken is above zero, and written out in full it
// is the same.
func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"200/s", "800KB/s", "1.5GiB/s", "-1/s", "9223372036854775807B/s", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, unit, err := ParseRate(s)
		if err != nil {
			return
		}
		if n < 1 || n > maxDebt {
			t.Fatalf("%q is %d", s, n)
		}
		full := fmt.Sprintf("%d%s/s", n, [...]string{Requests: "", Bytes: "B"}[unit])
		if again, u, err := ParseRate(full); err != nil || u != unit || n < 1<<53 && again != n {
			t.Fatalf("%q is %d, and %q is %d %v", s, n, full, again, err)
		}
		for _, u := range []Unit{Requests, Bytes} {
			if a, err := ParseAmount(s, u); err == nil && a.of(1) < 1 {
				t.Fatalf("amount %q is %d", s, a.of(1))
			}
		}
	})
}
