package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"starling/livesync/edits"
)

// auditLog is a file with a line of JSON for each change of a list, made here or heard of. It is opened for each of them, so that it may be renamed at any time.
type auditLog struct{ path string }

// auditLine is a change. Who is there only where the change was made.
type auditLine struct {
	Time   time.Time  `json:"time"`
	List   string     `json:"list"`
	Op     string     `json:"op"`
	Key    string     `json:"key"` // of a passkey the digest
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Node   string     `json:"node"` // that made it
	Who    *auditor   `json:"who,omitempty"`
}

// auditor is who made a change.
type auditor struct {
	Address string `json:"address"`
	Token   string `json:"token,omitempty"` // the beginning of its SHA-256
}

// auditorOf returns who sent a request.
func auditorOf(r *http.Request) *auditor {
	a := &auditor{Address: r.RemoteAddr}
	if token, ok := bearer(r.Header["Authorization"]); ok {
		sum := sha256.Sum256([]byte(token))
		a.Token = hex.EncodeToString(sum[:4])
	}
	return a
}

// auditLineOf returns the line of a change.
func auditLineOf(e *edits.Entry, who *auditor) auditLine {
	x := entryStatusOf(e)
	return auditLine{Time: x.Time, List: listNames[e.Kind], Op: x.Op, Key: x.Key, Until: x.Until, Reason: x.Reason, Node: x.Node, Who: who}
}

// add writes lines.
func (a *auditLog) add(lines []auditLine) error {
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var b []byte
	for i := range lines {
		line, err := json.Marshal(&lines[i])
		if err != nil {
			return errors.Join(err, f.Close())
		}
		b = append(append(b, line...), '\n')
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
