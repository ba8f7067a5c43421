package main

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConnectionIDsOutliveRestart: a UDP client goes on with its connection id after the node was ended and started again, and the secret is
// on the disk only between.
func TestConnectionIDsOutliveRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, connSecretFile)
	var id []byte
	for range 2 {
		cmd := program(t, "serve", "--http", "none", "--udp", "127.0.0.1:0", "--admin", "none", "--livesync-interface", "none", "--state-dir", dir)
		log := startProgram(t, cmd)
		s := awaitServing(t, log)
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("while the node runs: %v", err)
		}
		conn, err := net.Dial("udp", s.UDP[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		ask := func(request []byte) []byte {
			answer := make([]byte, 1500)
			conn.Write(request)
			n, err := conn.Read(answer)
			if err != nil {
				t.Fatal(err)
			}
			return answer[:n]
		}
		if id == nil {
			id = ask(append(binary.BigEndian.AppendUint64(nil, 0x41727101980), make([]byte, 8)...))[8:16] // BEP 15: connect
		}
		scrape := append(append([]byte(nil), id...), 0, 0, 0, 2, 0, 0, 0, 7)
		if a := ask(append(scrape, make([]byte, 20)...)); binary.BigEndian.Uint32(a) != 2 {
			t.Errorf("%q for an id that is good", a)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		log.WriteTo(&strings.Builder{})
		if code := exitCode(t, cmd.Wait()); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("after the end: %v, %v", info, err)
		}
	}
	// What is none is not used, and taken away.
	for _, text := range []string{"", "zz\n", "00\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n := &identity{dir: dir}
		if s := n.connSecret(); len(s) > 1 {
			t.Errorf("%q: %x", text, s)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
