package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTokenFile(t *testing.T) {
	for text, want := range map[string]string{
		testToken: "", testToken + "\n": "", "  " + testToken + " \r\n": "",
		"": "empty", "\n": "empty", "short": "guessed", "0123456789abcde": "guessed", testToken + "\n" + testToken: "several lines",
		"0123456789 abcdef": "letters", "0123456789abcdé": "letters", "0123456789abcde\x00": "letters",
		strings.Repeat("a", maxToken): "", strings.Repeat("a", maxToken+1): "at most", strings.Repeat("a", maxTokenFile+1): "longer",
	} {
		path := writeToken(t, text)
		got, warning, err := readToken(path)
		switch {
		case want == "" && (err != nil || got != strings.TrimSpace(text) || warning != ""):
			t.Errorf("%q: %q, %q, %v", text, got, warning, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)):
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if err != nil && text != "" && len(text) > 3 && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("the error names the token: %v", err)
		}
	}
	path := writeToken(t, testToken)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, warning, err := readToken(path); err != nil || !strings.Contains(warning, "chmod 600 "+path) {
		t.Errorf("%q, %v", warning, err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{t.TempDir(): "directory", pipe: "pipe", filepath.Join(t.TempDir(), "missing"): "no such file"} {
		if _, _, err := readToken(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestTokenReload: the file is read again, and one that went wrong changes nothing.
func TestTokenReload(t *testing.T) {
	path := writeToken(t, testToken)
	settings := map[string]setting{"admin-token-file": {"", []string{path}}}
	n := testNode(t, settings)
	put := func(token string) int { return askFrom(n, "DELETE", "/api/v1/limit", "127.0.0.1:1", token).Code }
	if put(testToken) != 200 || put("") != 401 {
		t.Fatal("the first token is not in force")
	}
	for _, step := range []struct {
		text     string
		old, new int
	}{{"fedcba9876543210", 401, 200}, {"bad", 401, 200}, {"", 401, 200}} {
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.reload(resolve(fromMap(settings)))
		if got, now := put(testToken), put("fedcba9876543210"); got != step.old || now != step.new {
			t.Errorf("%q: the old token gets %d, the new one %d", step.text, got, now)
		}
	}
	n.reload(resolve(fromMap(map[string]setting{"admin-host": {"", []string{"one.example"}}})))
	if put("") != 200 || ask(n, "GET", "/healthz", "one.example").Code != 200 {
		t.Error("the token is still asked for, or the name is not known")
	}
}

// TestCommandsGiveTheToken: whoever asks a node gives it the token of the file, and says what is wrong when the node does not take it.
func TestCommandsGiveTheToken(t *testing.T) {
	var given []string
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given = append(given, r.Header.Get("Authorization"))
		http.Error(w, "the token is \x1b[31mwrong", http.StatusUnauthorized)
	}))
	defer node.Close()
	addr := strings.TrimPrefix(node.URL, "http://")
	path := writeToken(t, testToken)
	for _, command := range []string{"status", "pacing"} {
		r := inTime(t, command, "--admin", addr, "--admin-token-file", path)
		if r.code != exitFailure || !strings.Contains(r.stderr, "401 Unauthorized: the token is ?[31mwrong") {
			t.Errorf("%s: %+v", command, r)
		}
		if r := inTime(t, command, "--admin", addr); !strings.Contains(r.stderr, "give --admin-token-file") {
			t.Errorf("%s: %+v", command, r)
		}
		invoke(t, nil, command, "--admin", addr, "--admin-token-file", path+"x").wantUsageError(t, "--admin-token-file", path+"x")
	}
	if want := []string{"Bearer " + testToken, "", "Bearer " + testToken, ""}; !slices.Equal(given, want) {
		t.Errorf("given %q", given)
	}
}
