package ondemand

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFileTruncated: a file that was cut off anywhere is damaged, never another entry.
func TestFileTruncated(t *testing.T) {
	for _, e := range []Entry{{"films", "films.example.org", 6969}, {"a", "::1", 0}} {
		text := e.text()
		if got, err := parse([]byte(text)); err != nil || got != e {
			t.Fatalf("%q: %+v, %v", text, got, err)
		}
		for n := range len(text) - 1 { // without the last line's end it is whole
			if got, err := parse([]byte(text[:n])); err == nil {
				t.Errorf("%q: taken for %+v", text[:n], got)
			}
		}
	}
}

// TestFileStrict: nothing in a file is passed over.
func TestFileStrict(t *testing.T) {
	const good = "[ondemand]\nname = \"a\"\nhostname = \"h\"\n"
	for _, text := range []string{
		"", "\x00\x00\x00", "[ondemand]", good + "prot = 1\n", good + "port = 0\n", good + "port = 65536\n", good + "port = \"80\"\n",
		good + "[other]\n", "x = 1\n" + good, good + good, strings.Replace(good, `"a"`, `"a/b"`, 1), strings.Replace(good, `"h"`, `""`, 1),
		"name = \"a\"\nhostname = \"h\"\n", good + "#" + strings.Repeat("x", maxFile),
	} {
		if e, err := parse([]byte(text)); err == nil {
			t.Errorf("%.80q: taken for %+v", text, e)
		}
	}
}

// FuzzFile: what is read from a file is an entry that a file can be written of, and is read from it again.
func FuzzFile(f *testing.F) {
	f.Add([]byte(Entry{"films", "films.example.org", 6969}.text()))
	f.Add([]byte("[ondemand]\nname='a'\nhostname=\"\"\"H.\"\"\"\nport=0x50"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parse(text)
		if err != nil {
			return
		}
		if again, err := parse([]byte(e.text())); err != nil || again != e {
			t.Errorf("%+v is read as %+v, %v", e, again, err)
		}
	})
}

// TestWriteReplacesWhole: there is one file after a write, and it holds the new entry; without the directory one is made.
func TestWriteReplacesWhole(t *testing.T) {
	d := directory(filepath.Join(t.TempDir(), Directory))
	path := d.pathFor("a")
	for _, host := range []string{"one", "two.longer.example", "3"} {
		if err := d.write(path, Entry{"a", host, 0}); err != nil {
			t.Fatal(err)
		}
		all, troubles, err := d.load()
		if err != nil || len(troubles) != 0 || len(all) != 1 || all[0] != (kept{Entry{"a", host, 0}, path}) {
			t.Errorf("%s: loaded %v, %v, %v", host, all, troubles, err)
		}
	}
	if names := list(t, string(d)); len(names) != 1 {
		t.Errorf("the directory holds %v", names)
	}
	if got := d.pathFor("a"); got == path {
		t.Errorf("%s has a file and would be overwritten", got)
	}
	for range 2 {
		if err := d.remove(path); err != nil {
			t.Error(err)
		}
	}
}

// list returns the names of the files in a directory.
func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
