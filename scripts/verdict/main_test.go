package main

import (
	"strings"
	"testing"
)

// Events as go test writes them: a pass, a failure with its log, a skip with
// its reason, and go test's line for the package.
const mixed = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:2: loud\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: needs nft\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- SKIP: TestC (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
{"Action":"output","Package":"q","Output":"PASS\n"}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.1s\n"}
{"Action":"pass","Package":"q"}
`

func TestReadKeepsWhatMatters(t *testing.T) {
	var out strings.Builder
	c, err := read(strings.NewReader(mixed), &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := (counts{passed: 1, failed: 1, skipped: 1, broken: 1}); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	want := "    b_test.go:2: loud\n--- FAIL: TestB (0.00s)\n" +
		"--- SKIP: TestC: c_test.go:3: needs nft\nFAIL\tp\t0.1s\nok  \tq\t0.1s\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestReadShowsWhatDoesNotCompile(t *testing.T) {
	const broken = `{"ImportPath":"p","Action":"build-output","Output":"p.go:1:1: no\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
not an event
`
	var out strings.Builder
	c, err := read(strings.NewReader(broken), &out)
	if err != nil {
		t.Fatal(err)
	}
	if c.good(false) {
		t.Error("a package that does not compile passed")
	}
	if want := "p.go:1:1: no\nFAIL\tp [build failed]\nnot an event\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestReadShowsWhatADeadProcessLeft(t *testing.T) {
	const dead = `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    last words\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`
	var out strings.Builder
	if c, err := read(strings.NewReader(dead), &out); err != nil || c.good(false) {
		t.Errorf("counts %+v, error %v", c, err)
	}
	if want := "FAIL\tp\t0.1s\n--- UNENDED: p TestA\n    last words\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestGood(t *testing.T) {
	for _, test := range []struct {
		counts      counts
		lax, strict bool
	}{
		{counts{passed: 1}, true, true},
		{counts{passed: 1, skipped: 1}, true, false},
		{counts{passed: 1, failed: 1}, false, false},
		{counts{passed: 1, broken: 1}, false, false},
		{counts{}, false, false},
	} {
		if test.counts.good(false) != test.lax || test.counts.good(true) != test.strict {
			t.Errorf("%+v: lax %v strict %v", test.counts, test.counts.good(false), test.counts.good(true))
		}
	}
}
