package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// printTable prints the medians, and how ours compare.
func printTable(w io.Writer, o *options, all []contender, results []results) {
	fmt.Fprintf(w, "%d torrents, %d peers, skew %v, %d peers wanted; medians of %d rounds of %v\n\n", o.torrents, o.peers, o.skew, o.numWant, o.rounds, o.duration)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	cells := "\t"
	for i, c := range all {
		cells += c.name + "\t"
		if i > 0 {
			cells += "ratio\t"
		}
	}
	fmt.Fprintln(t, cells)
	for i, name := range figureNames {
		if len(results[0].values[i]) == 0 {
			continue
		}
		cells = name + "\t"
		ours := median(results[0].values[i])
		for j := range all {
			v := median(results[j].values[i])
			if len(results[j].values[i]) == 0 {
				cells += "-\t-\t"
				continue
			}
			cells += number(v) + "\t"
			if j > 0 {
				cells += fmt.Sprintf("%.2f\t", ours/v)
			}
		}
		fmt.Fprintln(t, cells)
	}
	t.Flush()
	for i, c := range all {
		if r := &results[i]; r.wrong+r.failed > 0 {
			fmt.Fprintf(w, "\n%s: %d answers were wrong and %d requests failed, for one: %s", c.name, r.wrong, r.failed, r.worst)
		}
	}
	fmt.Fprintln(w)
}

// median returns the middle one, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// number writes small values with two digits behind the point.
func number(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
