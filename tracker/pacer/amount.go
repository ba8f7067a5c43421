package pacer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Unit is what a rate counts.
type Unit uint8

// A rate counts requests ("200/s") or bytes ("10MB/s").
const (
	Requests Unit = iota
	Bytes
)

// byteUnits are what may stand before "/s", the longer names first because
// each ends in one of the shorter.
var byteUnits = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// ParseRate reads a rate a second: "200/s" requests, or bytes as "800KB/s",
// "1.5MB/s" and "10MiB/s", where KB is 1000. Zero, less than zero and less
// than one a second are errors.
func ParseRate(s string) (perSecond int64, unit Unit, err error) {
	number, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return 0, 0, fmt.Errorf("rate %q: want a number and /s, as in 200/s, 800KB/s or 10MB/s", s)
	}
	number, size, ok := cutUnit(number)
	if ok {
		unit = Bytes
	}
	v, err := parseNumber(number)
	if err != nil {
		return 0, 0, fmt.Errorf("rate %q: %q is not a number", s, number)
	}
	if v *= size; v < 1 || v > float64(maxDebt) {
		return 0, 0, fmt.Errorf("rate %q: it must be from 1 to %d a second", s, maxDebt)
	}
	return int64(math.Round(v)), unit, nil
}

// ParseSize reads an amount of memory, as "512MiB" or "2GB", where GB is a thousand MB.
func ParseSize(s string) (bytes int64, err error) {
	number, size, ok := cutUnit(s)
	if !ok {
		return 0, fmt.Errorf("size %q: want a number and its unit, as in 512MiB or 2GB", s)
	}
	v, err := parseNumber(number)
	if err != nil {
		return 0, fmt.Errorf("size %q: %q is not a number", s, number)
	}
	if v *= size; v < 1 || v > float64(maxDebt) {
		return 0, fmt.Errorf("size %q: it must be from 1 byte to %d", s, maxDebt)
	}
	return int64(math.Round(v)), nil
}

// cutUnit takes the unit of bytes off the end of an amount; ok is false when there is none.
func cutUnit(s string) (number string, size float64, ok bool) {
	for _, u := range byteUnits {
		if number, ok = strings.CutSuffix(s, u.name); ok {
			return number, u.size, true
		}
	}
	return s, 1, false
}

// parseNumber reads a decimal number of digits, a point and a sign, and
// nothing else that strconv would read.
func parseNumber(s string) (float64, error) {
	if s == "" || strings.Trim(s, "+-.0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// Amount is the rate or the ceiling of a class: tokens a second, or a part of
// what the parent has. The zero Amount says nothing.
type Amount struct {
	tokens int64
	parts  int64 // of a million of the parent's
}

// million is how many parts a whole has: percentages of four decimals.
const million = 1_000_000

// Tokens is an amount of n tokens a second.
func Tokens(n int64) Amount { return Amount{tokens: n} }

// Times is an amount of n times as many tokens; a part stays the same part.
func (a Amount) Times(n int64) Amount {
	a.tokens = Times(a.tokens, n)
	return a
}

// Times returns a product of numbers not below zero; one that does not fit is
// the largest there is, which no tree accepts. What is below zero stays so.
func Times(a, n int64) int64 {
	if a <= 0 {
		return a
	}
	return mulDiv(a, n, 1)
}

// Percent is a part of the parent's rate, or of its ceiling, as the case is.
func Percent(p float64) Amount {
	return Amount{parts: int64(math.Round(p * million / 100))}
}

// ParseAmount reads "30%", or a rate of the given unit as ParseRate does.
func ParseAmount(s string, unit Unit) (Amount, error) {
	if number, ok := strings.CutSuffix(s, "%"); ok {
		v, err := parseNumber(number)
		if err != nil || v <= 0 || v > 100 {
			return Amount{}, fmt.Errorf("%q: a percentage is above 0 and at most 100", s)
		}
		a := Percent(v)
		if a.parts == 0 {
			return Amount{}, fmt.Errorf("%q: too small", s)
		}
		return a, nil
	}
	n, got, err := ParseRate(s)
	if err != nil {
		return Amount{}, err
	}
	if got != unit {
		return Amount{}, fmt.Errorf("rate %q: want %s", s, [...]string{Requests: "requests, as in 200/s", Bytes: "bytes, as in 10MB/s"}[unit])
	}
	return Tokens(n), nil
}

// of returns the tokens a second that an amount is, given what the parent has.
func (a Amount) of(parent int64) int64 {
	if a.parts != 0 {
		return mulDiv(parent, max(a.parts, 0), million)
	}
	return a.tokens
}
