package mmsg

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func socket(t testing.TB, address string) (*net.UDPConn, syscall.RawConn, netip.AddrPort) {
	t.Helper()
	pc, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Skip("no UDP socket on ", address, ": ", err)
	}
	t.Cleanup(func() { pc.Close() })
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return conn, raw, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// What is answered to Name comes back to the sender, whatever the family and however many go at a time.
func TestEcho(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		_, raw, at := socket(t, address)
		client, _, from := socket(t, address)
		reader, writer := NewReader(raw, 8, 100), NewWriter(raw, 8)
		for round := range 50 {
			var sent [][]byte
			for range 1 + r.IntN(8) {
				b := make([]byte, 1+r.IntN(120))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				sent = append(sent, b)
				if _, err := client.WriteToUDPAddrPort(b, at); err != nil {
					t.Fatal(err)
				}
			}
			for got := 0; got < len(sent); {
				n, err := reader.Read()
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					want := sent[got][:min(len(sent[got]), 100)]
					if reader.From(i) != from || !bytes.Equal(reader.Bytes(i), want) {
						t.Fatalf("seed %d round %d: %x from %v, want %x from %v", seed, round, reader.Bytes(i), reader.From(i), want, from)
					}
					writer.Add(reader.Bytes(i), reader.Name(i), nil)
					got++
				}
				if m, err := writer.Send(); m != n || err != nil || writer.Waiting() != 0 {
					t.Fatalf("sent %d of %d, %v", m, n, err)
				}
			}
			for _, b := range sent {
				back := make([]byte, 200)
				n, who, err := client.ReadFromUDPAddrPort(back)
				if err != nil || who != at || !bytes.Equal(back[:n], b[:min(len(b), 100)]) {
					t.Fatalf("seed %d round %d: %x from %v, %v", seed, round, back[:n], who, err)
				}
			}
		}
	}
}

// Who serves misses no datagram, however they arrive: each round would wait for its answers forever. A deadline that has passed ends it although
// datagrams keep coming.
func TestServe(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	conn, raw, at := socket(t, "127.0.0.1:0")
	client, _, _ := socket(t, "127.0.0.1:0")
	reader, writer := NewReader(raw, 4, 100), NewWriter(raw, 4)
	ended := make(chan error)
	go func() {
		ended <- reader.Serve(func(n int) {
			for i := range n {
				writer.Add(reader.Bytes(i), reader.Name(i), nil)
			}
			writer.Send()
		})
	}()
	client.SetReadDeadline(time.Now().Add(time.Minute))
	var b [100]byte
	for round := range 2000 {
		sent := 1 + r.IntN(9)
		for i := range sent {
			if _, err := client.WriteToUDPAddrPort([]byte{byte(i)}, at); err != nil {
				t.Fatal(err)
			}
		}
		for i := range sent {
			if n, _, err := client.ReadFromUDPAddrPort(b[:]); n != 1 || b[0] != byte(i) || err != nil {
				t.Fatalf("seed %d round %d: answer %d of %d is %x, %v", seed, round, i, sent, b[:n], err)
			}
		}
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v after the deadline", err)
			}
			return
		default:
			client.WriteToUDPAddrPort(b[:], at)
		}
	}
}

// A datagram that the system refuses does not keep back those behind it.
func TestRefused(t *testing.T) {
	_, raw, _ := socket(t, "127.0.0.1:0")
	client, _, at := socket(t, "127.0.0.1:0")
	writer := NewWriter(raw, 4)
	good, long := Name(at), make([]byte, 1<<16)
	for i, b := range [][]byte{{1}, long, {3}, long} {
		writer.Add(b, good, nil)
		if writer.Waiting() != i+1 {
			t.Fatalf("%d wait, want %d", writer.Waiting(), i+1)
		}
	}
	for _, want := range []int{1, 1} {
		if n, err := writer.Send(); n != want || !errors.Is(err, syscall.EMSGSIZE) {
			t.Fatalf("%d sent, %v", n, err)
		}
	}
	if n, err := writer.Send(); n != 0 || err != nil {
		t.Fatalf("%d sent of nothing, %v", n, err)
	}
	for _, want := range []byte{1, 3} {
		var b [2]byte
		if n, _, err := client.ReadFromUDPAddrPort(b[:]); n != 1 || b[0] != want || err != nil {
			t.Fatalf("%x, %v", b[:n], err)
		}
	}
}

func TestDeadlineAndClose(t *testing.T) {
	conn, raw, _ := socket(t, "127.0.0.1:0")
	reader := NewReader(raw, 2, 10)
	conn.SetReadDeadline(time.Unix(1, 0))
	if _, err := reader.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v after the deadline", err)
	}
	conn.SetReadDeadline(time.Time{})
	time.AfterFunc(10*time.Millisecond, func() { conn.Close() })
	if _, err := reader.Read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v of a closed socket", err)
	}
}

// waker is the variable that makes this test binary another process, which sends a datagram to the address in it once nobody here has anything to do.
const waker = "MMSG_TEST_WAKE"

func TestMain(m *testing.M) {
	if at := os.Getenv(waker); at != "" {
		<-time.After(100 * time.Millisecond)
		conn, err := net.Dial("udp4", at)
		if err == nil {
			_, err = conn.Write([]byte{1})
		}
		if err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// Who never runs out of datagrams does not keep the only processor for himself, even when he begins after everybody was idle, and the
// runtime's watching thread with them. Whatever in this process woke him would wake that thread
// too, which otherwise sleeps for a minute.
func TestOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	_, raw, at := socket(t, "127.0.0.1:0")
	reader, writer, b, name := NewReader(raw, 4, 10), NewWriter(raw, 4), []byte{1}, Name(at)
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), waker+"="+at.String())
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	if _, err := reader.Read(); err != nil {
		t.Fatal(err)
	}
	var ran atomic.Bool
	go ran.Store(true)
	for until := time.Now().Add(30 * time.Second); !ran.Load(); {
		if time.Now().After(until) {
			t.Fatal("nobody else has run for 30 s")
		}
		writer.Add(b, name, nil)
		if _, err := writer.Send(); err != nil {
			t.Fatal(err)
		}
		if n, err := reader.Read(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestAllocations(t *testing.T) {
	_, raw, at := socket(t, "127.0.0.1:0")
	reader, writer := NewReader(raw, 4, 10), NewWriter(raw, 4)
	name, b := Name(at), []byte{1}
	if n := testing.AllocsPerRun(100, func() {
		for range 4 {
			writer.Add(b, name, nil)
		}
		writer.Send()
		for got := 0; got < 4; {
			n, _ := reader.Read()
			got += n
			reader.From(n - 1)
		}
	}); n != 0 {
		t.Errorf("%v allocations for four datagrams", n)
	}
}

// BenchmarkEcho is what a datagram costs that is only read and sent back, both ends in the figure: the floor of a server's.
func BenchmarkEcho(b *testing.B) {
	for _, many := range []int{1, 32} {
		b.Run(strconv.Itoa(many), func(b *testing.B) {
			_, raw, at := socket(b, "127.0.0.1:0")
			reader, writer := NewReader(raw, many, 1500), NewWriter(raw, many)
			name, pkt := Name(at), make([]byte, 100)
			b.ReportAllocs()
			for i := 0; i < b.N; i += many {
				for range many {
					writer.Add(pkt, name, nil)
				}
				writer.Send()
				for got := 0; got < many; {
					n, err := reader.Read()
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
		})
	}
}
