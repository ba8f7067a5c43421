package pacer

import (
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWrongTrees: each is refused, with the names and numbers that do not fit.
func TestWrongTrees(t *testing.T) {
	for _, c := range []struct {
		name    string
		rate    int64
		burst   int64
		classes []Class
		says    []string
	}{
		{"no rate", 0, 0, WanClasses(), []string{"wan", "rate of 0"}},
		{"rate below zero", -3, 0, WanClasses(), []string{"wan", "rate of -3"}},
		{"no classes", 100, 0, nil, []string{"wan", "no classes"}},
		{"no name", 100, 0, []Class{{Name: "a", Rate: Tokens(1)}, {Rate: Tokens(1)}}, []string{"number 2", "no name"}},
		{"twice", 100, 0, []Class{{Name: "a", Rate: Tokens(1)}, {Name: "a", Rate: Tokens(1)}}, []string{`"a"`, "two"}},
		{"the root's name", 100, 0, []Class{{Name: "wan", Rate: Tokens(1)}}, []string{`"wan"`, "two"}},
		{"no such parent", 100, 0, []Class{{Name: "a", Parent: "b", Rate: Tokens(1)}}, []string{`"a"`, `"b"`}},
		{"class without rate", 100, 0, []Class{{Name: "a"}}, []string{`"a"`, "rate of 0"}},
		{"class below zero", 100, 0, []Class{{Name: "a", Rate: Tokens(-7)}}, []string{`"a"`, "rate of -7"}},
		{"a part too small", 10, 0, []Class{{Name: "a", Rate: Percent(1)}}, []string{`"a"`, "rate of 0"}},
		{"ceiling below rate", 100, 0, []Class{{Name: "a", Rate: Tokens(50), Ceil: Tokens(49)}}, []string{`"a"`, "49", "50"}},
		{"ceiling above the parent's", 100, 0, []Class{{Name: "a", Rate: Tokens(50), Ceil: Tokens(101)}}, []string{`"a"`, "101", "100", `"wan"`}},
		{"sum of rates", 100, 0, []Class{{Name: "a", Rate: Tokens(60)}, {Name: "b", Rate: Percent(41)}}, []string{"101", "100", "a 60", "b 41", `"wan"`}},
		{"sum of rates below", 1000, 0, []Class{
			{Name: "p", Rate: Tokens(50)}, {Name: "a", Parent: "p", Rate: Tokens(30)}, {Name: "b", Parent: "p", Rate: Tokens(30)},
		}, []string{"60", "50", "a 30", "b 30", `"p"`}},
		{"sum of bursts", 100, 5, []Class{{Name: "a", Rate: Tokens(1), Burst: 3}, {Name: "b", Rate: Tokens(1), Burst: 4}}, []string{"7", "5", "a 3", "b 4", `"wan"`}},
		{"burst below zero", 100, 0, []Class{{Name: "a", Rate: Tokens(1), Burst: -2}}, []string{`"a"`, "-2"}},
		{"too deep", 100, 0, []Class{
			{Name: "a", Rate: Tokens(1)}, {Name: "b", Parent: "a", Rate: Tokens(1)},
			{Name: "c", Parent: "b", Rate: Tokens(1)}, {Name: "d", Parent: "c", Rate: Tokens(1)},
		}, []string{`"d"`, "4", "3"}},
	} {
		_, err := NewTree("wan", c.rate, c.burst, c.classes, epoch0)
		if err == nil {
			t.Errorf("%s: taken", c.name)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q does not say %q", c.name, err, s)
			}
		}
	}
}

// TestDefaultTrees: the classes as they come fit at any rate that leaves the
// smallest a token a second, and every request finds one.
func TestDefaultTrees(t *testing.T) {
	for name, classes := range map[string][]Class{"wan": WanClasses(), "lan": LanClasses(), "all": OneRoot(WanClasses())} {
		for _, rate := range []int64{300, 2000, 800_000, 10_000_000, 1e12} {
			tree, err := NewTree(name, rate, 0, classes, epoch0)
			if err != nil {
				t.Errorf("%s at %d: %v", name, rate, err)
				continue
			}
			if root := tree.nodes[0]; rate >= 1e5 && root.burst > rate/50+20 {
				t.Errorf("%s at %d: the root's burst is %d", name, rate, root.burst)
			}
			if name != "lan" {
				if _, err := NewClassifier(tree); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestClassify(t *testing.T) {
	classes := append([]Class{
		{Name: "office", Rate: Percent(5), Match: []Match{{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}},
		{Name: "old", Rate: Percent(1), Match: []Match{
			{Kinds: []Kind{Regular, Started}, ClientIDs: []string{"-UT1", "-AZ"}},
			{Paths: []string{"/x/announce", "/x/scrape"}},
		}},
	}, WanClasses()...)
	tree, err := NewTree("wan", 1e6, 0, classes, epoch0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClassifier(tree)
	if err != nil {
		t.Fatal(err)
	}
	public, office := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:10.1.2.3")
	for _, x := range []struct {
		r    Request
		want string
	}{
		{Request{Kind: Regular, Client: public}, "regular"},
		{Request{Kind: Started, Client: public}, "event"},
		{Request{Kind: Completed, Client: public}, "event"},
		{Request{Kind: Stopped, Client: public}, "event"},
		{Request{Kind: Scrape, Client: public}, "scrape"},
		{Request{Kind: Bulk, Client: public}, "bulk"},
		{Request{Kind: Bulk, Client: office}, "office"},
		{Request{Kind: Regular, Client: public, PeerID: []byte("-UT1234-abcdefghijkl")}, "old"},
		{Request{Kind: Stopped, Client: public, PeerID: []byte("-UT1234-abcdefghijkl")}, "event"},
		{Request{Kind: Regular, Client: public, PeerID: []byte("-U")}, "regular"},
		{Request{Kind: Scrape, Client: public, Path: []byte("/x/scrape")}, "old"},
		{Request{Kind: Scrape, Client: public, Path: []byte("/x/scrape2")}, "scrape"},
		{Request{Kind: Regular}, "regular"},
	} {
		if got := tree.Classes()[c.Classify(&x.r)]; got != x.want {
			t.Errorf("%+v is of class %s, want %s", x.r, got, x.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { c.Classify(&Request{Kind: Regular, Client: office}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestClassifierRefuses(t *testing.T) {
	for want, classes := range map[string][]Class{
		"scrape":  {{Name: "a", Rate: Tokens(1), Match: []Match{{Kinds: []Kind{Regular, Started, Completed, Stopped, Bulk}}}}},
		"regular": {{Name: "a", Rate: Tokens(1), Match: []Match{{Paths: []string{"/announce"}}}}},
		`"p"`:     {{Name: "p", Rate: Tokens(1), Match: []Match{{}}}, {Name: "a", Parent: "p", Rate: Tokens(1), Match: []Match{{}}}},
	} {
		tree, err := NewTree("wan", 100, 0, classes, epoch0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewClassifier(tree); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want a word about %s", err, want)
		}
	}
}

func TestParseKind(t *testing.T) {
	for k := range kinds {
		if got, err := ParseKind(k.String()); got != k || err != nil {
			t.Errorf("%v: %v %v", k, got, err)
		}
	}
	if _, err := ParseKind("paused"); err == nil || !slices.Contains(strings.Fields(strings.Trim(err.Error(), "]")), `"stopped"`) {
		t.Errorf("a kind that there is not: %v", err)
	}
}

// TestAbsurdNumbers: amounts at the ends of what an int64 holds are refused, or make a tree whose children have no more than their
// parent, reckoned without overflow.
func TestAbsurdNumbers(t *testing.T) {
	r := seeded(t)
	absurd := []int64{0, 1, 2, 20, 1 << 30, maxDebt / 2, maxDebt - 1, maxDebt, maxDebt + 1, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64, -1, math.MinInt64}
	pick := func() int64 { return absurd[r.IntN(len(absurd))] }
	amount := func() Amount {
		if r.IntN(2) == 0 {
			return Percent([]float64{0.0001, 50, 100}[r.IntN(3)])
		}
		return Tokens(pick()).Times([]int64{1, 1000}[r.IntN(2)])
	}
	accepted := 0
	for range 20_000 {
		classes := make([]Class, 1+r.IntN(12))
		for i := range classes {
			classes[i] = Class{Name: fmt.Sprint(i), Rate: amount(), Ceil: amount(), Burst: pick()}
			if r.IntN(2) == 0 {
				classes[i].Burst = 0
			}
			if i > 0 && r.IntN(3) == 0 {
				classes[i].Parent = fmt.Sprint(r.IntN(i))
			}
		}
		tree, err := NewTree("root", pick(), 0, classes, epoch0)
		if err != nil {
			continue
		}
		accepted++
		for _, n := range tree.nodes {
			sum := new(big.Int)
			for _, c := range n.children {
				sum.Add(sum, big.NewInt(c.rate))
			}
			if sum.Cmp(big.NewInt(n.rate)) > 0 || n.rate < 1 || n.ceil.rate < n.rate {
				t.Fatalf("%+v: %q has %d, its children %s", classes, n.Name, n.rate, sum)
			}
		}
		tree.Take(epoch0.Add(time.Hour), 0, math.MaxInt64)
		tree.Resize(epoch0.Add(2*time.Hour), pick())
		tree.Charge(epoch0.Add(3*time.Hour), 0, math.MaxInt64)
		tree.Available(epoch0.Add(1000*time.Hour), 0)
	}
	if accepted == 0 {
		t.Error("no tree was accepted")
	}
}
