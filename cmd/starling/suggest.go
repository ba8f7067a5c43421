package main

import (
	"iter"
	"slices"
)

// didYouMean returns "; did you mean X?" for the known word nearest to a
// mistyped one, or nothing when none is near: more than a letter in four is different,
// not counting the prefix that all of them have.
func didYouMean(prefix, word string, known iter.Seq[string]) string {
	best, nearest := "", 2+(len(word)-len(prefix))/4
	for _, k := range slices.Sorted(known) {
		if d := editDistance(word, k); d < nearest {
			best, nearest = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// editDistance returns how many letters must be inserted, removed or replaced
// to make b of a (Levenshtein). row[j] is the distance of the part of a seen so far to b[:j].
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
