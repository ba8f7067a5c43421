package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a token. One of 16 characters cannot be guessed if it is random, at the rate at which guesses are heard.
const (
	minToken     = 16
	maxToken     = 512
	maxTokenFile = 4096
)

// adminToken is the hash of a token, so that tokens of any length are compared in the same time. The zero value is no token.
type adminToken [sha256.Size]byte

func adminTokenOf(text string) adminToken { return sha256.Sum256([]byte(text)) }

// readToken reads the file of --admin-token-file, which holds the token on its only line. The warning, which may be empty, is
// about who else can read it.
func readToken(path string) (text, warning string, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to would be waited for
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", err
	}
	if !info.Mode().IsRegular() {
		return "", "", fmt.Errorf("%s is a directory, a pipe or a device, not a token file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", "", err
	}
	if text, err = parseToken(b); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		warning = fmt.Sprintf("%s can be read by other users of this host: chmod 600 %s", path, path)
	}
	return text, warning, nil
}

// tokenCharacters are what a token may have, which is what fits into an Authorization header (RFC 6750, section 2.1).
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// parseToken reads the text of a token file. No error names any of it.
func parseToken(b []byte) (string, error) {
	text := string(bytes.TrimSpace(b))
	switch {
	case len(b) > maxTokenFile:
		return "", fmt.Errorf("longer than %d bytes, which no token file is", maxTokenFile)
	case text == "":
		return "", fmt.Errorf("the file is empty; make a token with: starling key > FILE")
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("has several lines, and a token file has one")
	case strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(tokenCharacters, r) }):
		return "", fmt.Errorf("a token has letters, digits and -._~+/= only")
	case len(text) < minToken:
		return "", fmt.Errorf("the token has %d characters, and below %d it could be guessed; make one with: starling key > FILE", len(text), minToken)
	case len(text) > maxToken:
		return "", fmt.Errorf("the token has %d characters, at most %d are taken", len(text), maxToken)
	}
	return text, nil
}

// setToken takes the name of a token file.
func setToken(c *config) func(string) error {
	return func(path string) error {
		text, warning, err := readToken(path)
		if err != nil {
			return err
		}
		c.adminToken, c.tokenWarning = adminTokenOf(text), warning
		return nil
	}
}

// setHostName adds a name under which the admin address is asked for.
func setHostName(p *[]string) func(string) error {
	return func(s string) error {
		bad := strings.ContainsFunc(s, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
		})
		if bad || len(s) > 253 || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "-") {
			return fmt.Errorf("%q is not the name of a host, without a port, such as tracker1.example.org", s)
		}
		*p = append(*p, s)
		return nil
	}
}
