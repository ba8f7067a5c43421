package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a passkey, in characters.
const (
	leastKey = 8
	mostKey  = 64
)

// Digest stands for a passkey: the first 20 bytes of its SHA-256. Passkeys themselves are kept nowhere and shown to nobody.
type Digest [20]byte

// DigestOf returns the digest of a passkey.
func DigestOf(key []byte) Digest {
	sum := sha256.Sum256(key)
	return Digest(sum[:])
}

// String returns the 40 hexadecimal digits, by which the API names a key.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Key is what is known of a passkey.
type Key struct {
	Name  string
	Until int64 // Unix seconds; 0: for ever
}

// Keys are the passkeys of a file.
type Keys struct{ all map[Digest]Key }

// Len returns how many there are.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.all)
}

// ValidKey says what is wrong with the form of a passkey, nothing when it is right.
func ValidKey(key []byte) error {
	if len(key) < leastKey || len(key) > mostKey {
		return fmt.Errorf("a passkey has %d to %d characters", leastKey, mostKey)
	}
	for _, c := range key {
		if c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			continue
		}
		return errors.New("a passkey has letters, digits, - and _ only")
	}
	return nil
}

// ReadKeys reads a file of passkeys. Each line has a key, then, if it ends, the last day it is good for (UTC) or the time when it ends,
// and then whose it is:
//
//	9f3c2a7d51e84b60a1b2c3d4e5f60718  2027-12-31  alice
//
// No error shows a key.
func ReadKeys(path string) (*Keys, Stamp, error) {
	k := &Keys{all: make(map[Digest]Key)}
	stamp, err := readLines(path, k.add)
	if err != nil {
		return nil, stamp, err
	}
	return k, stamp, nil
}

// add takes in a line.
func (k *Keys) add(line []byte) error {
	fields := bytes.Fields(line)
	if err := ValidKey(fields[0]); err != nil {
		return err
	}
	d := DigestOf(fields[0])
	if _, twice := k.all[d]; twice {
		return errors.New("the passkey stands in the file twice")
	}
	if len(k.all) == maxEntries {
		return fmt.Errorf("more than %d passkeys", maxEntries)
	}
	var key Key
	rest := fields[1:]
	if len(rest) > 0 {
		until, dated, err := ParseUntil(string(rest[0]))
		if err != nil {
			return err
		}
		if dated {
			key.Until, rest = until.Unix(), rest[1:]
		}
	}
	key.Name = printable(string(bytes.Join(rest, []byte(" "))))
	k.all[d] = key
	return nil
}

// ParseUntil reads a day, which counts to its end (UTC), or a time as RFC 3339 has it. What does not begin like either is none, dated is false then.
func ParseUntil(text string) (until time.Time, dated bool, err error) {
	if len(text) < 5 || strings.Trim(text[:4], "0123456789") != "" || text[4] != '-' {
		return time.Time{}, false, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), true, nil
	}
	until, err = time.Parse(time.RFC3339, text)
	if err != nil {
		return until, false, fmt.Errorf("%.40q is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z", text)
	}
	return until, true, nil
}

// printable returns a text with a question mark for what is not printed, and no longer than a line of a table.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || 0x80 <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > 64 {
		s = string(slices.Clip(runes[:64]))
	}
	return s
}
