package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryPackageSaysWhatItIs: go doc has an answer for each of them, and
// each has a test, except those that are part of the tests of another.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	const format = `{{.ImportPath}}|{{.Doc}}|{{len .TestGoFiles}} {{len .XTestGoFiles}}`
	for _, line := range goList(t, "-f", format, "./...") {
		pkg, rest, _ := strings.Cut(line, "|")
		doc, tests, _ := strings.Cut(rest, "|")
		if doc == "" {
			t.Errorf("%s has no package comment", pkg)
		}
		if tests == "0 0" && !strings.HasSuffix(pkg, "test") {
			t.Errorf("%s has no test", pkg)
		}
	}
}

// TestTopLevelStaysAsDrawn: a newcomer finds the rooms and nothing beside them.
func TestTopLevelStaysAsDrawn(t *testing.T) {
	drawn := []string{"README.md", "cmd", "go.mod", "go.sum", "livesync", "netns-tests", "scripts", "tracker", "wire"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(drawn, name) {
			t.Errorf("%s is at the top level", name)
		}
	}
}

// TestScriptsAreListed: each has its line in scripts/README.md.
func TestScriptsAreListed(t *testing.T) {
	readme, err := os.ReadFile(root + "/scripts/README.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root + "/scripts")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		if name != "README.md" && strings.Count(string(readme), "| `"+name+"` |") != 1 {
			t.Errorf("scripts/README.md does not have one line for %s", name)
		}
	}
}

// TestFilesAndFunctionsAreShort: no file over 500 lines, nine functions in ten
// under 50.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	var functions int
	var long []string
	files(t, ".go", func(path, text string) {
		if n := strings.Count(text, "\n"); n > 500 {
			t.Errorf("%s has %d lines: is it one room?", path, n)
		}
		fset, file := parse(t, path, text)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			functions++
			if fset.Position(f.End()).Line-fset.Position(f.Pos()).Line >= 50 {
				long = append(long, path+": "+f.Name.Name)
			}
		}
	})
	if len(long)*10 > functions {
		t.Errorf("%d of %d functions have 50 lines or more:\n%s", len(long), functions, strings.Join(long, "\n"))
	}
}

// TestHabits: no test waits by the clock, nothing runs before main, and
// nothing is called a heap of odds and ends.
func TestHabits(t *testing.T) {
	files(t, ".go", func(path, text string) {
		fset, file := parse(t, path, text)
		if name := file.Name.Name; slices.Contains([]string{"util", "utils", "common", "helpers", "types"}, name) {
			t.Errorf("%s: package %s says nothing", path, name)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: an init function", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && n.Sel.Name == "Sleep" && strings.HasSuffix(path, "_test.go") {
					t.Errorf("%s: a test that sleeps", fset.Position(n.Pos()))
				}
			}
			return true
		})
	})
}

// unwanted are words that do not belong into the tree. They are put together
// here from parts so that this file does not find itself.
var unwanted = []struct {
	what string
	re   *regexp.Regexp
}{
	{"work left open", regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)},
	{"a text with its own terms", regexp.MustCompile(`(?i)copy` + `right|all rights` + ` reserved`)},
	{"a path of some machine", regexp.MustCompile(`(^|[^.a-zA-Z0-9_/])/(wo` + `rk|fa` + `rm|ho` + `me)/|\.lib` + `rary`)},
}

// termsOfOthers are the terms of what others wrote and is kept here unchanged; they have to stand beside it.
var termsOfOthers = []string{"cmd/starling/dashboard/static/uplot-LICENSE.txt"}

// TestWords: everything that is text, documents included.
func TestWords(t *testing.T) {
	files(t, "", func(path, text string) {
		if slices.Contains(termsOfOthers, path) {
			return
		}
		for i, line := range strings.Split(text, "\n") {
			for _, u := range unwanted {
				if u.re.MatchString(line) {
					t.Errorf("%s:%d: %s: %s", path, i+1, u.what, strings.TrimSpace(line))
				}
			}
		}
	})
}

// parse reads one Go file with its comments.
func parse(t *testing.T, path, text string) (*token.FileSet, *ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return fset, file
}
