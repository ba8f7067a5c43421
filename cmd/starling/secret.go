package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// connSecretFile is where, in the state directory, the secret of UDP connection ids stands while the node does not run. It is good for as long as
// ids are, some minutes, which tracker.NewUDP sees to, and for one start: after a crash there is none, and clients ask for new ids.
const connSecretFile = "connection-ids"

// connSecret returns the secret that the last run left, so that the ids which clients have stay good; nil: there is none.
func (n *identity) connSecret() []byte {
	if n.dir == "" {
		return nil
	}
	path := filepath.Join(n.dir, connSecretFile)
	text, err := readBounded(path)
	if err != nil || os.Remove(path) != nil { // it may not be used twice
		return nil
	}
	secret, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	return secret
}

// connSecret returns the secret that the program before this one had, nil when there is none.
func (n *node) connSecret() []byte {
	if secret := n.cfg.handed.secret(); secret != nil {
		return secret
	}
	return n.who.connSecret()
}

// leaveSecret leaves it for the next run.
func (n *node) leaveSecret() {
	if n.handsOver() || len(n.udpConns) == 0 {
		return
	}
	if err := n.who.keep(connSecretFile, hex.EncodeToString(n.udp.Secret())); err != nil {
		n.log.Warn().Err(err).Msg("the secret of UDP connection ids could not be kept: after the start clients ask for new ones")
	}
}
