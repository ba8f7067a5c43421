package wire

import (
	"go/build"
	"testing"
)

// TestNotLinux: the file that stops the build is part of it on every system but Linux.
func TestNotLinux(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "freebsd", "windows"} {
		c := build.Default
		c.GOOS = goos
		if there, err := c.MatchFile(".", "notlinux.go"); err != nil || there == (goos == "linux") {
			t.Errorf("%s: part of the build: %t, %v", goos, there, err)
		}
	}
}
