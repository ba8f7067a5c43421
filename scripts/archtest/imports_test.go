package archtest

import (
	"slices"
	"strings"
	"testing"
)

// A rule says for the packages below a path which others of this module they
// may need. The first rule that fits counts. stdOnly forbids other modules,
// too, and never lists what must not be there at all.
type rule struct {
	below   string
	needs   []string
	stdOnly bool
	never   []string
}

var rules = []rule{
	// System calls for the sockets of both tracker and livesync.
	{below: "starling/wire/mmsg"},
	// Bytes and values: no socket, no clock, no logger.
	{below: "starling/wire", stdOnly: true, never: []string{"net", "time", "os", "log", "log/slog", "math/rand/v2"}},
	{below: "starling/tracker/pacer", stdOnly: true},
	{below: "starling/tracker/client", needs: []string{"starling/wire"}},
	{below: "starling/tracker/load", needs: []string{"starling/wire", "starling/tracker/client"}},
	{below: "starling/tracker", needs: []string{"starling/wire", "starling/tracker/pacer"}},
	// Simulated clusters join both, as cmd does; only scripts/simulate and tests need them.
	{below: "starling/livesync/livesynctest/cluster", needs: []string{"starling/wire", "starling/tracker", "starling/livesync"}},
	{below: "starling/livesync/livesynctest/simulate", needs: []string{"starling/wire", "starling/tracker", "starling/livesync"}},
	{below: "starling/livesync", needs: []string{"starling/wire"}},
	{below: "starling/cmd", needs: []string{"starling/wire", "starling/tracker", "starling/livesync"}},
	// Measures with the program's own generator, which wants one process to hold the peers of several runs, and on the tracker's own sockets what it would cost if it did nothing.
	{below: "starling/scripts/trackers-bench", needs: []string{"starling/wire", "starling/tracker"}},
	{below: "starling/scripts", stdOnly: true},
	{below: "starling/netns-tests"},
}

// allows says whether the packages of a rule may need another of this module:
// one of their own kind, or one that is listed.
func (r rule) allows(dep string) bool {
	return below(dep, r.below) || slices.ContainsFunc(r.needs, func(top string) bool { return below(dep, top) })
}

// below says whether a package is another or lies under it.
func below(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }

// TestImportsPointOneWay holds cmd -> {tracker, livesync} -> wire: an arrow
// that is not in the table fails, however many packages lie between.
func TestImportsPointOneWay(t *testing.T) {
	const format = `{{.ImportPath}} {{join .Imports ","}} {{join .Deps ","}}`
	for _, line := range goList(t, "-f", format, "./...") {
		fields := strings.Split(line, " ")
		pkg, imports, deps := fields[0], strings.Split(fields[1], ","), strings.Split(fields[2], ",")
		i := slices.IndexFunc(rules, func(r rule) bool { return below(pkg, r.below) })
		if i < 0 {
			t.Errorf("%s is in no room: the tree has a new part", pkg)
			continue
		}
		for _, dep := range deps {
			if below(dep, "starling") && !rules[i].allows(dep) {
				t.Errorf("%s needs %s, which %s may not", pkg, dep, rules[i].below)
			}
		}
		for _, imported := range imports {
			if slices.Contains(rules[i].never, imported) {
				t.Errorf("%s imports %s", pkg, imported)
			}
			if domain, _, _ := strings.Cut(imported, "/"); rules[i].stdOnly && strings.Contains(domain, ".") {
				t.Errorf("%s imports %s, and is to need the standard library only", pkg, imported)
			}
		}
	}
}

// unsafeFiles import unsafe, and say why.
var unsafeFiles = []string{"wire/mmsg/mmsg.go", "tracker/stream/stream.go"}

// TestUnsafe: no file but those imports it, tests and tools included.
func TestUnsafe(t *testing.T) {
	files(t, ".go", func(path, text string) {
		_, file := parse(t, path, text)
		for _, imported := range file.Imports {
			if imported.Path.Value == `"unsafe"` && !slices.Contains(unsafeFiles, path) {
				t.Errorf("%s imports unsafe", path)
			}
		}
	})
}
