package netnstests

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// statusFile returns where the system tells of a process. The tests have process numbers of their own, which are the last that /proc tells.
func (p *process) statusFile(t *testing.T) string {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, name := range all {
		if space, err := os.Readlink(filepath.Join(filepath.Dir(name), "ns/pid")); err != nil || space != own {
			continue
		}
		text, _ := os.ReadFile(name)
		_, numbers, _ := strings.Cut(string(text), "\nNSpid:")
		numbers, _, _ = strings.Cut(numbers, "\n")
		if f := strings.Fields(numbers); len(f) > 0 && f[len(f)-1] == strconv.Itoa(p.cmd.Process.Pid) {
			return name
		}
	}
	t.Fatalf("process %d is not in /proc", p.cmd.Process.Pid)
	return ""
}

// memoryOf returns what a process has in memory, and the most it ever had, in bytes.
func memoryOf(t *testing.T, statusFile string) (now, most int64) {
	t.Helper()
	text, err := os.ReadFile(statusFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			most = n << 10
		}
	}
	if now == 0 || most == 0 {
		t.Fatalf("%s does not say how much memory it has:\n%s", statusFile, text)
	}
	return now, most
}

// flooder announces random torrents, each once, over one socket.
type flooder struct {
	*udpClient
	rng     *rand.Rand
	packets [64][98]byte
}

// turn sends some announces and waits until they are answered; what is lost on the way is not waited for. All are for new torrents, or again for those of the turn before.
func (f *flooder) turn(again bool) error {
	for i := range f.packets {
		b := &f.packets[i]
		copy(b[:], f.id[:])
		b[11], b[15] = 1, byte(i)
		for j := 16; j < 32 && !again; j += 8 {
			binary.BigEndian.PutUint64(b[j:], f.rng.Uint64())
		}
		binary.BigEndian.PutUint64(b[64:], 1) // left
		copy(b[92:], "\xff\xff\xff\xff\x1a\xe1")
		if _, err := f.conn.Write(b[:]); err != nil {
			return err
		}
	}
	f.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	var answer [2048]byte
	for range f.packets {
		if _, err := f.conn.Read(answer[:]); err != nil {
			break
		}
	}
	return nil
}

// crowdHTTP opens connections on which each client has announced and begun its next request.
func crowdHTTP(h *host, clients int) {
	for i := range clients {
		var conn net.Conn
		err := h.in(func() (err error) {
			conn, err = net.Dial("tcp", "127.0.0.1:6969")
			return err
		})
		if err != nil {
			h.net.t.Fatal(err)
		}
		h.net.t.Cleanup(func() { conn.Close() })
		request := fmt.Sprintf("GET /announce?info_hash=%020d&peer_id=%020d&port=%d&left=1&uploaded=0&downloaded=0 HTTP/1.1\r\nHost: a\r\n", i, i, 1000+i)
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write([]byte(request + "\r\n" + request)); err == nil {
			bufio.NewReader(conn).ReadByte() // those beyond the limit of a client's connections are refused
		}
	}
}

// flood lets f announce until enough says so, each torrent once or twice. All the while those who are known are served, and the process has no more than limit.
func (f *flooder) flood(client *udpClient, file string, twice bool, enough func(sent int, past time.Duration) bool) (sent int) {
	t := f.host.net.t
	t.Helper()
	began, turns := time.Now(), 0
	for ; !enough(sent, time.Since(began)); sent += 200 * len(f.packets) {
		if time.Since(began) > patience {
			t.Fatalf("%d announces are not enough", sent)
		}
		for range 200 {
			if err := f.turn(twice && turns%2 == 1); err != nil {
				t.Fatal(err)
			}
			turns++
		}
		for i := turns / 200; i < floodKnown*floodEach; i += 100 {
			got := client.announce(hash(i%floodKnown), uint16(1000+i), 1, 0)
			if got.Incomplete != floodEach || len(got.Compact4) != (floodEach-1)*6 {
				t.Fatalf("after %d announces of others a peer that is known gets %+v", sent, got)
			}
		}
		if now, most := memoryOf(t, file); most > floodLimit {
			t.Fatalf("after %d announces the process has %d KiB, and had up to %d", sent, now>>10, most>>10)
		}
	}
	return sent
}

// What a flooded tracker has: its limit, the torrents that were there before with so many peers each, and for how many there is room.
const (
	floodLimit = 64 << 20
	floodKnown = 300
	floodEach  = 3
	floodFit   = 360_000
)

// TestMemoryLimit floods a tracker that has little memory with torrents that nobody knows, ten times as many as fit if the machine is fast, and then with
// such as are asked for twice. It never takes more than the limit and goes on to serve those who were there; only the second flood keeps new ones out.
func TestMemoryLimit(t *testing.T) {
	if raceDetected() {
		return // the detector needs several times the memory itself
	}
	n := newNetwork(t, "a")
	a := n.hosts["a"]
	node := a.serve("--memory-limit", "64MiB", "--livesync-interface", "none")
	file, client := node.statusFile(t), a.dialUDP(loopback)
	for i := range floodKnown * floodEach {
		client.announce(hash(i%floodKnown), uint16(1000+i), 1, 2)
	}
	crowdHTTP(a, 300)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := &flooder{udpClient: a.dialUDP(loopback), rng: rand.New(rand.NewPCG(seed, 0))}
	refused := func(why string) uint64 { return node.now().Memory.Refused[why] }
	sent := f.flood(client, file, false, func(sent int, past time.Duration) bool {
		return sent >= 10*floodFit || past > 5*time.Second && refused("unknown_torrent") > 0
	})
	s := node.now()
	if s.Memory.Pressure != "tight" || s.Memory.Refused["unknown_torrent"] == 0 || s.Memory.Refused["new_torrent"]+s.Memory.Refused["peer"] > 0 {
		t.Errorf("after %d announces memory is %+v", sent, s.Memory)
	}
	for i := range 50 { // a torrent comes in when it is asked for again
		fresh := hash(1_000_000 + i)
		client.announce(fresh, 1, 1, 2)
		client.announce(fresh, 1, 1, 0)
		if got := client.announce(fresh, 2, 1, 2); got.Incomplete != 2 || len(got.Compact4) != 6 {
			t.Fatalf("the second peer of a new torrent gets %+v", got)
		}
	}
	f.flood(client, file, true, func(int, time.Duration) bool { return refused("new_torrent") > 0 })
	_, most := memoryOf(t, file)
	t.Logf("%d announces, %d refused; at most %d KiB of %d", sent, s.Memory.Refused["unknown_torrent"], most>>10, floodLimit>>10)
}
