package load

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func testReport() *Report {
	r := &Report{
		Target: "http://127.0.0.1:6969/<announce>", Elapsed: 3500 * time.Millisecond, Torrents: 1000, Peers: 10000, InFlight: 64, Rate: 100, Fresh: true,
		Filled: time.Second, Right: 1234567, Wrong: []Count{{What: wrongNames[wrongTwice], N: 2}}, Errors: []Count{{failureNames[failRefused], 1001, "busy"}},
		Series:  []Second{{time.Second, 100, 3e5, 4e6, 5e7}, {At: 2 * time.Second}, {3 * time.Second, 120, 3e5, 4e6, 5e7}},
		Process: &Process{PID: 7, CPU: 2 * time.Second, PerAnswer: 4321, Before: 1 << 20, Resident: 3 << 20},
	}
	for i := range 1000 {
		r.Latency.Record(time.Duration(i) * time.Microsecond)
	}
	return r
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := testReport().Print(&b); err != nil {
		t.Fatal(err)
	}
	want := `http://127.0.0.1:6969/<announce> for 3.5s: 100 requests/s, a connection each, 1,000 torrents, 10,000 peers

filled in                   1s
right answers        1,234,567
wrong answers                2
                             2   a peer twice
errors                   1,001
                         1,001   refused by the tracker, first "busy"
answers/s                  285
tracker CPU                 2s   4.32 us an answer, 57 % of a core
tracker memory         3.0 MiB   1.0 MiB before

latency        p50         p90         p99       p99.9         max
          0.500 ms    0.901 ms    0.991 ms    0.999 ms    0.999 ms
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := testReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Right   uint64
		Wrong   uint64
		Latency map[string]float64
		Series  []struct {
			At     float64 `json:"at_s"`
			Answer float64 `json:"answers_per_s"`
		}
		Process struct {
			PerAnswer float64 `json:"cpu_us_per_answer"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Right != 1234567 || got.Wrong != 2 || int(1000*got.Latency["p99_ms"]) != 991 || len(got.Series) != 3 || got.Series[2].Answer != 120 || got.Process.PerAnswer != 4.321 {
		t.Errorf("%+v of\n%s", got, b.String())
	}
}

// The plot is well-formed, keeps every number finite, and draws a line for each stretch without a gap.
func TestPlot(t *testing.T) {
	for name, test := range map[string]struct {
		report *Report
		lines  int
	}{
		"a gap":   {testReport(), 1 + 3*2},
		"nothing": {&Report{Target: "udp://127.0.0.1:1"}, 0},
	} {
		var b bytes.Buffer
		if err := test.report.WritePlot(&b); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || strings.Contains(s, "%!") {
			t.Errorf("%s: %s", name, s)
		}
		lines := 0
		for d := xml.NewDecoder(&b); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
				lines++
			}
		}
		if lines != test.lines {
			t.Errorf("%s: %d lines, want %d", name, lines, test.lines)
		}
	}
}

func TestWhatAProcessUses(t *testing.T) {
	u, ok := parseStat([]byte("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 100 1000 25 1844 rest"))
	if want := (usage{cpu: 2 * time.Second, resident: 25 * uint64(os.Getpagesize())}); !ok || u != want {
		t.Errorf("%+v, %v; want %+v", u, ok, want)
	}
	for _, bad := range []string{"", "7 (a) S 1 2", "7 (a) S 1 7 7 0 -1 4194560 1 2 3 4 x 50 0 0 20 0 9 0 100 1000 25 1844"} {
		if u, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q: %+v", bad, u)
		}
	}
	if u, err := readUsage(os.Getpid()); err != nil || u.resident == 0 {
		t.Errorf("our own: %+v, %v", u, err)
	}
}
