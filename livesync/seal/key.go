package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"starling/wire"
)

// Key is a cluster key.
type Key [32]byte

// Keys are what a key file holds: the first signs, all of them verify. One key, or two during a rotation.
type Keys []Key

const (
	maxKeys = 2
	// maxFile bounds a key file, in bytes: two keys are 88.
	maxFile = 4 << 10
	// minPassphrase is the shortest text that is taken for a passphrase; anything shorter is a mistake.
	minPassphrase = 12
)

// NewKey returns a new key as it stands in a file: 43 characters of base64url.
func NewKey() string {
	var k Key
	rand.Read(k[:]) // never fails: the program ends when the system has no randomness
	return base64.RawURLEncoding.EncodeToString(k[:])
}

// ReadFile reads the one or two keys of a file. The warning, which may be empty, is about a key that can be had by guessing or by
// looking; an error says what to do.
func ReadFile(path string) (keys Keys, warning string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("%w (copy it from another node, or make the first one: starling key > %s)", err, path)
	}
	if err != nil { // nothing about making one: that would replace the key that is there
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	if info.IsDir() {
		return nil, "", fmt.Errorf("%s is a directory, not a key file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, "", err
	}
	keys, warning, err = ParseKeys(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	var warnings []string
	if warning != "" {
		warnings = append(warnings, path+": "+warning)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		warnings = append(warnings, fmt.Sprintf("%s can be read by other users of this host: chmod 600 %s", path, path))
	}
	return keys, strings.Join(warnings, "; "), nil
}

// ParseKeys reads the lines of a key file. A line that is not 32 bytes of base64url is a passphrase, which the warning says.
func ParseKeys(text []byte) (keys Keys, warning string, err error) {
	if len(text) > maxFile {
		return nil, "", fmt.Errorf("more than %d bytes: a key file has one or two lines", maxFile)
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		k, guessable, err := parseKey(line)
		if err != nil {
			return nil, "", err
		}
		if guessable {
			warning = "a line is a passphrase, which can be guessed by whoever hears one packet: starling key makes a key that cannot"
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) == 0:
		return nil, "", errors.New("no key in it: starling key makes one, which all nodes need")
	case len(keys) > maxKeys:
		return nil, "", fmt.Errorf("%d keys in it: one, or two during a rotation, the one that signs first", len(keys))
	case len(keys) == maxKeys && keys[0] == keys[1]:
		return nil, "", errors.New("both lines are the same key: one line is enough")
	}
	return keys, warning, nil
}

// parseKey reads one line.
func parseKey(line []byte) (k Key, guessable bool, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(string(line), "="))
	if err == nil && len(b) == len(k) {
		return Key(b), false, nil
	}
	if len(line) < minPassphrase {
		return k, false, fmt.Errorf("a line of %d characters is no key: starling key makes one of 43", len(line))
	}
	derive(k[:], line, "starling passphrase 1")
	return k, true, nil
}

// CatchUpSeed returns the seed of the Ed25519 key by which nodes know each other when they catch up.
func (k *Key) CatchUpSeed() [32]byte {
	var seed [32]byte
	derive(seed[:], k[:], "starling catch-up 1")
	return seed
}

// DivergenceKey returns the key of the hash from which divergence is reckoned. Only nodes that sign with the same key
// can be compared.
func (k *Key) DivergenceKey() [32]byte {
	var key [32]byte
	derive(key[:], k[:], "starling divergence 1")
	return key
}

// RelayName returns what tells clusters apart that share a relay. It says nothing of the key.
func (k *Key) RelayName() [8]byte {
	var name [8]byte
	derive(name[:], k[:], "starling relay 1")
	return name
}

// sender returns the key of the tags of a sender.
func (k *Key) sender(id wire.NodeID, epoch uint64) [16]byte {
	info := append([]byte("starling livesync 1"), id[:]...)
	info = binary.BigEndian.AppendUint64(info, epoch)
	var key [16]byte
	derive(key[:], k[:], string(info))
	return key
}

// derive fills dst by HKDF-SHA256 without salt.
func derive(dst, secret []byte, info string) {
	b, err := hkdf.Key(sha256.New, secret, nil, info, len(dst))
	if err != nil {
		panic("seal: " + err.Error()) // only for lengths that nobody asks for
	}
	copy(dst, b)
}
