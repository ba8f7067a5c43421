package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"starling/tracker/client"
	"starling/wire"
)

// TestUpgrade replaces the program twice while clients announce without a pause, each as soon as the last one was answered: no announce
// fails, no peer is lost, no connection that is kept open is closed, and the process and the node stay the same ones.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--livesync-interface", "none")
	log := startProgram(t, cmd)
	was := awaitServing(t, log)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var told [4]int
	for i := range told {
		address := "udp://" + was.UDP[0]
		if i%2 == 0 {
			address = "http://" + was.HTTP[0] + "/announce"
		}
		u, err := client.ParseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				var c client.Client
				within, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := c.Announce(within, u, &client.Announce{InfoHash: wire.InfoHash{byte(i), byte(told[i] >> 15)}, Port: uint16(1 + told[i]%(1<<15)), Left: 1})
				cancel()
				if err != nil {
					t.Errorf("%s: %v", address, err)
					return
				}
				told[i]++
			}
		})
	}
	kept := newKeptClient(t, was.HTTP[0])
	idle, halfway := newKeptClient(t, was.HTTP[0]), newKeptClient(t, was.HTTP[0])
	idle.announce(t, 2)
	halfway.announce(t, 3)
	keeping := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil && !t.Failed(); n++ {
			kept.announce(t, 20001+n)
		}
		keeping <- n
	}()
	for range 2 {
		io.WriteString(halfway.conn, halfway.request(3)[:40])
		cmd.Process.Signal(syscall.SIGUSR2)
		is := awaitServing(t, log)
		io.WriteString(halfway.conn, halfway.request(3)[40:])
		halfway.answered(t)
		if is.TrackerID != was.TrackerID || is.HTTP[0] != was.HTTP[0] || is.UDP[0] != was.UDP[0] || is.Admin != was.Admin {
			t.Fatalf("%+v, was %+v", is, was)
		}
	}
	stop()
	clients.Wait()
	idle.announce(t, 2)
	all := 2 + <-keeping
	for _, n := range told {
		all += n
	}
	if st := nodeStatusOf(t, was.Admin); all == 0 || st.Peers.IPv4 != uint64(all) {
		t.Errorf("%d peers of %d", st.Peers.IPv4, all)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	log.WriteTo(&strings.Builder{})
	if code := exitCode(t, cmd.Wait()); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// keptClient is a client that announces over one connection.
type keptClient struct {
	conn   net.Conn
	reader *bufio.Reader
}

func newKeptClient(t *testing.T, addr string) *keptClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &keptClient{conn, bufio.NewReader(conn)}
}

// request is an announce of a peer at a port.
func (c *keptClient) request(port int) string {
	return fmt.Sprintf("GET /announce?info_hash=%s&port=%d&left=1 HTTP/1.1\r\nHost: tracker\r\n\r\n", strings.Repeat("%01", 20), port)
}

func (c *keptClient) announce(t *testing.T, port int) {
	io.WriteString(c.conn, c.request(port))
	c.answered(t)
}

// answered takes an answer, which is no failure and not the last.
func (c *keptClient) answered(t *testing.T) {
	a, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Errorf("a connection that is kept open: %v", err)
		return
	}
	if body, err := io.ReadAll(a.Body); err != nil || a.Close || !strings.Contains(string(body), "peers") {
		t.Errorf("closed %v: %q, %v", a.Close, body, err)
	}
}

// TestUpgradeRefused: a program that does not like the configuration does not take over.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, "numwant = 10\n")
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "none", "--admin", "127.0.0.1:0", "--livesync-interface", "none", "--config", path)
	log := startProgram(t, cmd)
	was := awaitServing(t, log)
	if err := os.WriteFile(path, []byte("numwant = 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGUSR2)
	line, err := log.ReadString('\n')
	if err != nil || !strings.Contains(line, "cannot take over") || !strings.Contains(line, "key numwant: 0 is not between") {
		t.Errorf("%q, %v", line, err)
	}
	if st := nodeStatusOf(t, was.Admin); st.TrackerID != was.TrackerID {
		t.Errorf("%+v", st)
	}
}

// TestSocketActivation: sockets of systemd are served instead of others, and one that no setting names is an error.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpFile, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer tcpFile.Close()
	udpFile, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udpFile.Close()
	for _, right := range []bool{true, false} {
		http := tcp.Addr().String()
		if !right {
			http = "127.0.0.1:0"
		}
		// The shell knows the number of the process that it becomes.
		cmd := program(t, "serve", "--http", http, "--udp", udp.LocalAddr().String(), "--admin", "127.0.0.1:0", "--livesync-interface", "none")
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=http:starling.socket")
		cmd.ExtraFiles = []*os.File{tcpFile, udpFile}
		if !right {
			said, err := cmd.CombinedOutput()
			if want := fmt.Sprintf("a socket called http on %s", tcp.Addr()); exitCode(t, err) != exitUsage || !strings.Contains(string(said), want) {
				t.Errorf("%v: %s", err, said)
			}
			continue
		}
		log := startProgram(t, cmd)
		s := awaitServing(t, log)
		announce(t, "http", s.HTTP[0], 1)
		announce(t, "udp", s.UDP[0], 2)
		if st := nodeStatusOf(t, s.Admin); st.Peers.IPv4 != 2 || s.HTTP[0] != tcp.Addr().String() {
			t.Errorf("%+v, %+v", st.Peers, s)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		log.WriteTo(&strings.Builder{})
		if code := exitCode(t, cmd.Wait()); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}
