package otstats

import (
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestTexts: every mode, as opentracker words it, with other numbers in each place.
func TestTexts(t *testing.T) {
	f := Figures{
		TrackerID: 3735928559, Version: "1 & 2", Uptime: 2*time.Hour + 10*time.Second,
		Torrents: 101, Peers: 102, Seeders: 103, Completed: 104,
		TCP: Requests{Overall: 105_000_000, Announces: 106_000_000, Scrapes: 107}, UDP: Requests{108_000_000, 109_000_000, 110_000_000, 111},
		Mismatches: 112, FullScrapes: 113, FullScrapeBytes: 114_000_000, Synced: 115, Failed: Failures{116, 117, 118, 119, 120},
	}
	for minute := range f.Renewed {
		f.Renewed[minute] = uint64(1000 + minute)
	}
	var b strings.Builder
	for _, mode := range Modes() {
		text, ok := f.Text(mode)
		if !ok {
			t.Fatal(mode)
		}
		fmt.Fprintf(&b, "=== %s\n%s\n", mode, text)
	}
	file := filepath.Join("testdata", "modes.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || b.String() != string(want) {
		t.Errorf("%v; go test -update, then look at the difference; the texts are\n%s", err, b.String())
	}
	var all struct {
		Version string `xml:"version"`
		Peers   uint64 `xml:"peers>count"`
		Scrapes uint64 `xml:"connections>tcp>scrape"`
	}
	text, _ := f.Text("everything")
	if err := xml.Unmarshal([]byte(text), &all); err != nil || strings.TrimSpace(all.Version) != "starling 1 & 2" || all.Peers != 102 || all.Scrapes != 107 {
		t.Errorf("%v, %+v", err, all)
	}
}

// TestStart: a tracker that has just started divides by no zero, and a mode that is not known is none.
func TestStart(t *testing.T) {
	for _, mode := range Modes() {
		if text, ok := new(Figures).Text(mode); !ok || text == "" {
			t.Errorf("%s: %q", mode, text)
		}
	}
	if text, ok := new(Figures).Text("busy"); ok {
		t.Error(text)
	}
}
