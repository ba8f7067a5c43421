package seal

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/wire"
)

func TestNewKeyIsRead(t *testing.T) {
	a, b := NewKey(), NewKey()
	if len(a) != 43 || a == b {
		t.Fatalf("%q and %q", a, b)
	}
	for _, text := range []string{a, a + "\n", " " + a + " \r\n\n", a + "="} {
		keys, warning, err := ParseKeys([]byte(text))
		if err != nil || warning != "" || len(keys) != 1 || base64.RawURLEncoding.EncodeToString(keys[0][:]) != a {
			t.Errorf("%q: %v, %q, %v", text, keys, warning, err)
		}
	}
	keys, warning, err := ParseKeys([]byte(a + "\n" + b + "\n"))
	if err != nil || warning != "" || len(keys) != 2 || base64.RawURLEncoding.EncodeToString(keys[1][:]) != b {
		t.Errorf("two keys: %v, %q, %v", keys, warning, err)
	}
}

func TestKeysRefused(t *testing.T) {
	a := NewKey()
	for text, want := range map[string]string{
		"":                                    "starling key makes one",
		"\n \n":                               "starling key makes one",
		"secret":                              "starling key makes one",
		a + "\n" + a:                          "one line is enough",
		a + "\n" + NewKey() + "\n" + NewKey(): "3 keys",
		strings.Repeat("x", maxFile+1):        "one or two lines",
	} {
		if keys, _, err := ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || keys != nil {
			t.Errorf("%.50q: %v, %v", text, keys, err)
		}
	}
}

func TestPassphraseIsWarnedAbout(t *testing.T) {
	one, warning, err := ParseKeys([]byte("correct horse battery staple\n"))
	if err != nil || !strings.Contains(warning, "guessed") {
		t.Fatalf("%q, %v", warning, err)
	}
	if two, _, _ := ParseKeys([]byte("correct horse battery staple")); two[0] != one[0] {
		t.Error("the same words are another key")
	}
	if hex.EncodeToString(one[0][:4]) == "00000000" {
		t.Error("no key was derived")
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := NewKey()
	if keys, warning, err := ReadFile(write("good", key, 0o600)); err != nil || warning != "" || len(keys) != 1 {
		t.Errorf("%v, %q, %v", keys, warning, err)
	}
	if _, warning, err := ReadFile(write("open", key, 0o644)); err != nil || !strings.Contains(warning, "chmod 600") {
		t.Errorf("a file that others can read: %q, %v", warning, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "starling key > ",
		dir:                           "is a directory",
		write("empty", "", 0o600):     "no key in it",
		write("long", strings.Repeat("k\n", maxFile), 0o600): "one or two lines",
	} {
		if _, _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The derivations are part of the protocol: what HKDF makes of them (computed with another implementation) must never change.
func TestDerivations(t *testing.T) {
	var k Key
	for i := range k {
		k[i] = byte(i)
	}
	sender := k.sender(wire.NodeID{1, 2, 3, 4}, 0x0102030405060708)
	catchUp, divergence := k.CatchUpSeed(), k.DivergenceKey()
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"sender", sender[:], "24696c5a197b4846a31b8fc011cbfcef"},
		{"catching up", catchUp[:], "d5e2d0700a01d7365fe1dbbe326002db15da394e5b669cbf280dea37092c3c7a"},
		{"divergence", divergence[:], "1cada3a71dddd7d7f79969f41c4f4fb17a13e4dabc4a91ce73251f8fbb023ff4"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s: %x, want %s", c.name, c.got, c.want)
		}
	}
	if other := k.sender(wire.NodeID{1, 2, 3, 5}, 0x0102030405060708); other == sender {
		t.Error("two senders have the same key")
	}
	if other := k.sender(wire.NodeID{1, 2, 3, 4}, 0x0102030405060709); other == sender {
		t.Error("two epochs have the same key")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(NewKey()))
	f.Add([]byte(NewKey() + "\n" + NewKey() + "\n"))
	f.Add([]byte("correct horse battery staple"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, err := ParseKeys(text)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
}
