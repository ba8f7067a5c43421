package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSystemd plays systemd: it is told when the node serves, reloads, is replaced, lives and ends.
func TestSystemd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	notify.SetReadDeadline(time.Now().Add(time.Minute))
	until := func(words string) {
		t.Helper()
		for b := make([]byte, 4096); ; {
			n, err := notify.Read(b)
			if err != nil {
				t.Fatalf("%s: %v", words, err)
			}
			if strings.Contains("\n"+string(b[:n]), "\n"+words) {
				return
			}
		}
	}
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "none", "--livesync-interface", "none")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=2000000")
	log := startProgram(t, cmd)
	until("READY=1")
	until("WATCHDOG=1\nSTATUS=0 torrents")
	cmd.Process.Signal(syscall.SIGHUP)
	until("RELOADING=1\nMONOTONIC_USEC=")
	until("READY=1\nSTATUS=Serving 1 HTTP")
	cmd.Process.Signal(syscall.SIGUSR2)
	until("RELOADING=1")
	until("READY=1")
	until("WATCHDOG=1")
	cmd.Process.Signal(syscall.SIGTERM)
	until("STOPPING=1")
	log.WriteTo(&strings.Builder{})
	if code := exitCode(t, cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
