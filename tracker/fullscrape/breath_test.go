package fullscrape

import (
	"net"
	"sync/atomic"
	"testing"
)

// TestBreath: who waits for the network is served while somebody works who only takes breath, and without a bell too.
func TestBreath(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var heard atomic.Int32
	go func() {
		for b := make([]byte, 1); ; {
			if _, _, err := conn.ReadFrom(b); err != nil {
				return
			}
			heard.Add(1)
		}
	}()
	whole := newBreath()
	defer whole.close()
	if !whole.ring() {
		t.Error("no bell")
	}
	silent := newBreath()
	silent.close()
	if silent.ring() {
		t.Error("a bell that was put away rings")
	}
	for i, pause := range []*breath{whole, silent, {}} {
		if _, err := conn.WriteTo([]byte{1}, conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		for int(heard.Load()) <= i { // or the test takes too long
			pause.take()
		}
	}
}
