package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPacketsTellOfEveryPeer(t *testing.T) {
	seen := map[[recordSize]byte]bool{}
	names := map[[20]byte]bool{}
	packets := packetsOf(rand.New(rand.NewPCG(1, 1)))
	for _, pkt := range packets {
		if len(pkt) != headerSize+perPacket*recordSize {
			t.Fatalf("a packet has %d bytes", len(pkt))
		}
		for b := pkt[headerSize:]; len(b) > 0; b = b[recordSize:] {
			seen[[recordSize]byte(b)], names[[20]byte(b)] = true, true
		}
	}
	if len(names) != torrents || len(seen) < torrents*peers-100 {
		t.Errorf("%d torrents with %d peers", len(names), len(seen))
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20")
	if err != nil || got != 3*time.Second {
		t.Errorf("%s, %v", got, err)
	}
	for _, text := range []string{"", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
