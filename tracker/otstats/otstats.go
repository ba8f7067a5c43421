// Package otstats writes the answers to opentracker's /stats?mode=, which the scripts of many sites and graphs read.
//
//	conn udp4 tcp4 scrp fscr torr peer syncs completed    four lines for MRTG: two numbers, the uptime or what is served, a sentence
//	renew herr version                                    text
//	everything                                            XML
//
// The modes top10, top100 and tpbs list torrents; package fullscrape makes them. A number that Starling has no equal of is zero; what it
// counts as what is said beside its field. The words are opentracker's, its name included, since scripts look for them.
package otstats

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Figures is what the answers are made of. The counts are since the start.
type Figures struct {
	TrackerID uint32
	Version   string
	Uptime    time.Duration

	Torrents, Peers, Seeders uint64 // now
	Completed                uint64

	TCP, UDP   Requests
	Mismatches uint64 // UDP requests whose connection id was wrong

	FullScrapes, FullScrapeBytes uint64
	Synced                       uint64     // records of other nodes that were taken in
	Renewed                      [60]uint64 // announces of known peers, by how many minutes ago they were seen
	Failed                       Failures
}

// Requests is what clients asked for by one protocol.
type Requests struct {
	Overall   uint64 // connections over TCP, packets over UDP
	Connects  uint64 // UDP connect requests answered
	Announces uint64
	Scrapes   uint64
}

// Failures counts refused requests over HTTP, by what opentracker would have answered.
type Failures struct {
	Redirected, Malformed, Parameter, Denied, NotFound uint64
}

// success is how many requests were carried out.
func (r *Requests) success() uint64 { return r.Announces + r.Connects }

// modes are the texts, by mode.
var modes = map[string]func(*Figures) string{
	"peer": func(f *Figures) string {
		return fmt.Sprintf("%d\n%d\nopentracker serving %d torrents\nopentracker", f.Peers, f.Seeders, f.Torrents)
	},
	"torr": func(f *Figures) string {
		return fmt.Sprintf("%d\n0\nopentracker serving %[1]d torrents\nopentracker", f.Torrents)
	},
	"conn": func(f *Figures) string {
		return f.perSecond(f.TCP.Overall+f.UDP.Overall, f.TCP.success()+f.UDP.success(), "opentracker connections, %d conns/s :: %d success/s.")
	},
	"udp4": func(f *Figures) string {
		return f.perSecond(f.UDP.Overall, f.UDP.success(), "opentracker udp4 stats, %d conns/s :: %d success/s.")
	},
	"tcp4": func(f *Figures) string {
		return f.perSecond(f.TCP.Overall, f.TCP.success(), "opentracker tcp4 stats, %d conns/s :: %d success/s.")
	},
	"scrp": func(f *Figures) string {
		rate := (f.TCP.Scrapes + f.UDP.Scrapes) / f.seconds()
		return fmt.Sprintf("%s\nopentracker scrape stats, %d scrape/s (tcp and udp)", f.lines(f.TCP.Scrapes, f.UDP.Scrapes), rate)
	},
	"fscr": func(f *Figures) string {
		rates := fmt.Sprintf("opentracker full scrape stats, %d conns/s :: %d bytes/s.", f.FullScrapes/f.seconds(), f.FullScrapeBytes/f.seconds())
		return f.lines(f.FullScrapes*1000, f.FullScrapeBytes) + "\n" + rates
	},
	"syncs": func(f *Figures) string {
		rates := fmt.Sprintf("opentracker connections, %d conns/s :: %d success/s.",
			(f.TCP.Overall+f.UDP.Overall)/f.seconds(), (f.TCP.success()+f.UDP.success())/f.seconds())
		return f.lines(f.Synced, 0) + "\n" + rates
	},
	"completed": func(f *Figures) string {
		return fmt.Sprintf("%s\nopentracker, %d completed/h.", f.lines(f.Completed, 0), f.Completed/max(f.seconds()/3600, 1))
	},
	"renew": func(f *Figures) string {
		var b strings.Builder
		for minute, n := range f.Renewed[:renewMinutes] {
			fmt.Fprintf(&b, "%02d %d\n", minute, n)
		}
		return b.String()
	},
	"herr": func(f *Figures) string {
		e := &f.Failed
		return fmt.Sprintf("302 RED %d\n400 ... %d\n400 PAR %d\n400 COM 0\n403 IP  %d\n404 INV %d\n500 SRV 0\n",
			e.Redirected, e.Malformed, e.Parameter, e.Denied, e.NotFound)
	},
	"version":    func(f *Figures) string { return "starling " + f.Version + "\n" },
	"everything": (*Figures).everything,
}

// renewMinutes is how many lines the mode renew has: opentracker forgets a peer after so many minutes.
const renewMinutes = 45

// Text returns the answer to a mode, and whether there is such a mode.
func (f *Figures) Text(mode string) (text string, ok bool) {
	write, ok := modes[mode]
	if !ok {
		return "", false
	}
	return write(f), true
}

// Modes returns all modes that [Figures.Text] knows.
func Modes() (names []string) {
	for name := range modes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// seconds is the uptime, one second at least.
func (f *Figures) seconds() uint64 { return uint64(max(f.Uptime/time.Second, 1)) }

// lines is the first three lines of what MRTG reads.
func (f *Figures) lines(in, out uint64) string {
	up := int(f.Uptime / time.Second)
	return fmt.Sprintf("%d\n%d\n%d seconds (%d hours)", in, out, up, up/3600)
}

// perSecond is what MRTG reads of two counts, with their rates in a sentence.
func (f *Figures) perSecond(in, out uint64, sentence string) string {
	return f.lines(in, out) + "\n" + fmt.Sprintf(sentence, in/f.seconds(), out/f.seconds())
}

// everything is the XML of the mode of that name.
func (f *Figures) everything() string {
	var b, version strings.Builder
	xml.EscapeText(&version, []byte(f.Version)) // a Builder takes everything
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stats>")
	line("  <tracker_id>%d</tracker_id>", f.TrackerID)
	line("  <version>\nstarling %s\n  </version>", version.String())
	line("  <uptime>%d</uptime>", int(f.Uptime/time.Second))
	line("  <torrents>\n    <count_mutex>%d</count_mutex>\n    <count_iterator>%[1]d</count_iterator>\n  </torrents>", f.Torrents)
	line("  <peers>\n    <count>%d</count>\n  </peers>\n  <seeds>\n    <count>%d</count>\n  </seeds>", f.Peers, f.Seeders)
	line("  <completed>\n    <count>%d</count>\n  </completed>\n  <connections>", f.Completed)
	line("    <tcp>\n      <accept>%d</accept>\n      <announce>%d</announce>\n      <scrape>%d</scrape>\n    </tcp>",
		f.TCP.Overall, f.TCP.Announces, f.TCP.Scrapes)
	line("    <udp>\n      <overall>%d</overall>\n      <connect>%d</connect>\n      <announce>%d</announce>\n      <scrape>%d</scrape>",
		f.UDP.Overall, f.UDP.Connects, f.UDP.Announces, f.UDP.Scrapes)
	line("      <missmatch>%d</missmatch>\n    </udp>\n    <livesync>\n      <count>%d</count>\n    </livesync>\n  </connections>", f.Mismatches, f.Synced)
	line("  <debug>\n    <renew>")
	for minute, n := range f.Renewed[:renewMinutes] {
		line("      <count interval=\"%02d\">%d</count>", minute, n)
	}
	line("    </renew>\n    <http_error>")
	for _, e := range []struct {
		code string
		n    uint64
	}{
		{"302 Redirect", f.Failed.Redirected}, {"400 Parse Error", f.Failed.Malformed}, {"400 Invalid Parameter", f.Failed.Parameter},
		{"400 Invalid Parameter (compact=0)", 0}, {"403 Access Denied", f.Failed.Denied}, {"404 Not found", f.Failed.NotFound},
		{"500 Internal Server Error", 0},
	} {
		line("      <count code=\"%s\">%d</count>", e.code, e.n)
	}
	line("    </http_error>\n    <mutex_stall>\n      <count>0</count>\n    </mutex_stall>\n  </debug>")
	return b.String() + "</stats>"
}
