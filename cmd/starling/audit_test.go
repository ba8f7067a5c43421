package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"starling/livesync/edits"
	"starling/wire"
)

// TestAuditNamesWho lets many change lists at once while the node looks for changes of others: each line of the audit log names who made that change.
func TestAuditNamesWho(t *testing.T) {
	dir := t.TempDir()
	n := testNode(t, map[string]setting{"state-dir": {"", []string{dir}}})
	ctx, cancel := context.WithCancel(context.Background())
	var running, changing sync.WaitGroup
	running.Go(func() { n.lists.run(ctx) })
	const people, changes = 4, 12
	for who := range people {
		changing.Go(func() {
			for i := range changes {
				e := edits.Entry{Kind: edits.Deny, Op: edits.Add, Key: edits.Key{0: byte(who), 1: byte(i)}}
				if _, kept, err := n.lists.edit(time.Now(), wire.NodeID{3: 1}, e, &auditor{Address: fmt.Sprint(who)}); err != nil || !kept {
					t.Errorf("kept: %v, %v", kept, err)
				}
			}
		})
	}
	changing.Wait()
	cancel()
	running.Wait()
	f, err := os.Open(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		var line auditLine
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Who == nil || line.Key[:2] != fmt.Sprintf("%02x", line.Who.Address[0]-'0') {
			t.Errorf("who changed %s: %+v", line.Key, line.Who)
		}
	}
	if lines != people*changes {
		t.Errorf("%d lines", lines)
	}
}

// TestAuditToken: whatever way of writing the header the guard takes, the audit log shows the same token.
func TestAuditToken(t *testing.T) {
	of := func(header string) string {
		return auditorOf(&http.Request{Header: http.Header{"Authorization": {header}}}).Token
	}
	want := of("Bearer " + testToken)
	if want == "" || of("Basic "+testToken) != "" {
		t.Errorf("the token is shown as %q", want)
	}
	for _, header := range []string{"bearer " + testToken, "BEARER   " + testToken} {
		if got := of(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
