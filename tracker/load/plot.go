package load

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// The plot's measures, in pixels. Two panels share the axis of time:
//
//	title
//	answers/s |  ____/\___      throughput, from 0
//	ms        |  p50 p99 max    latency, logarithmic
//	             seconds
const (
	plotWidth   = 860
	plotHeight  = 520
	panelLeft   = 70
	panelRight  = plotWidth - 20
	panelHeight = 190
	topPanel    = 50
	lowPanel    = topPanel + panelHeight + 40
)

// axis maps values to pixels.
type axis struct {
	min, max float64
	at, to   float64 // pixels of min and of max
	log      bool
}

func (a axis) pixel(v float64) float64 {
	low, high := a.min, a.max
	if a.log {
		v, low, high = math.Log10(max(v, low)), math.Log10(low), math.Log10(high)
	}
	return a.at + (v-low)/(high-low)*(a.to-a.at)
}

// ticks returns where an axis is marked: at the powers of ten, or at some five round numbers.
func (a axis) ticks() (marks []float64) {
	if a.log {
		for v := a.min; v <= a.max*1.01; v *= 10 {
			marks = append(marks, v)
		}
		return marks
	}
	step := math.Pow(10, math.Floor(math.Log10(a.max/2)))
	for _, times := range []float64{1, 2, 5, 10} {
		if a.max/(step*times) <= 6 {
			step *= times
			break
		}
	}
	for v := a.min; v <= a.max*1.0001; v += step {
		marks = append(marks, v)
	}
	return marks
}

// WritePlot draws throughput and latency over the time of the run as SVG, readable on light and dark ground.
func (r *Report) WritePlot(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<style>
:root { --ground: #fff; --ink: #222; --grid: #ddd; --one: #1667b7; --two: #c2570c; --three: #999 }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --ink: #ddd; --grid: #3a3d44; --one: #6db3f2; --two: #f2a65e; --three: #777 } }
text { fill: var(--ink) } .grid { stroke: var(--grid) } polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round }
</style>
<rect width="100%%" height="100%%" fill="var(--ground)"/>
<text x="%d" y="24" font-size="15">%s: %s, %s answers/s</text>
`, plotWidth, plotHeight, panelLeft, html.EscapeString(r.Target), r.loop(), group(uint64(r.Answers())))

	times := axis{max: max(r.Elapsed.Seconds(), 1), at: panelLeft, to: panelRight}
	most, slowest, quickest := 1.0, time.Microsecond, time.Hour
	for _, s := range r.Series {
		most = max(most, s.Answers)
		if s.Answers > 0 {
			slowest, quickest = max(slowest, s.Max), min(quickest, max(s.P50, time.Microsecond))
		}
	}
	quickest = min(quickest, slowest)
	answers := axis{max: most * 1.05, at: topPanel + panelHeight, to: topPanel}
	latency := axis{
		min: math.Pow(10, math.Floor(math.Log10(inMillis(quickest)))), max: math.Pow(10, math.Floor(math.Log10(inMillis(slowest)))+1),
		at: lowPanel + panelHeight, to: lowPanel, log: true,
	}
	frame(&b, times, answers, "answers/s", func(v float64) string { return group(uint64(v)) })
	r.line(&b, times, answers, "one", func(s Second) float64 { return s.Answers })
	frame(&b, times, latency, "latency, ms", func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) })
	r.line(&b, times, latency, "three", func(s Second) float64 { return inMillis(s.Max) })
	r.line(&b, times, latency, "two", func(s Second) float64 { return inMillis(s.P99) })
	r.line(&b, times, latency, "one", func(s Second) float64 { return inMillis(s.P50) })
	for i, name := range []string{"p50", "p99", "max"} {
		x := panelRight - 150 + 50*i
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="var(--%s)" stroke-width="3"/><text x="%d" y="%d">%s</text>`+"\n",
			x, lowPanel-10, x+14, lowPanel-10, [...]string{"one", "two", "three"}[i], x+18, lowPanel-6, name)
	}
	for _, v := range times.ticks() {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", times.pixel(v), lowPanel+panelHeight+16, v)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">seconds</text>`+"\n</svg>\n", panelRight, lowPanel+panelHeight+32)
	_, err := io.WriteString(w, b.String())
	return err
}

// frame draws a panel's grid and names its axis.
func frame(b *strings.Builder, x, y axis, name string, label func(float64) string) {
	fmt.Fprintf(b, `<text x="%d" y="%.0f">%s</text>`+"\n", panelLeft, y.to-6, name)
	for _, v := range y.ticks() {
		fmt.Fprintf(b, `<line class="grid" x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			x.at, y.pixel(v), x.to, y.pixel(v), x.at-6, y.pixel(v)+4, label(v))
	}
}

// line draws one value over time; a piece of time without answers is a gap.
func (r *Report) line(b *strings.Builder, x, y axis, colour string, value func(Second) float64) {
	var points []string
	draw := func() {
		if len(points) > 0 {
			fmt.Fprintf(b, `<polyline stroke="var(--%s)" points="%s"/>`+"\n", colour, strings.Join(points, " "))
		}
		points = points[:0]
	}
	for _, s := range r.Series {
		if s.Answers == 0 && y.log {
			draw()
			continue
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.pixel(s.At.Seconds()), y.pixel(value(s))))
	}
	draw()
}
