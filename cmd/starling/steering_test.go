package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync"
	"starling/tracker/sibling"
	"starling/wire"
)

// steered returns the steering of a node that shares an uplink, without the node.
func steered(t *testing.T, now time.Time, settings map[string]string) *steering {
	t.Helper()
	all := make(map[string]setting)
	for name, value := range settings {
		all[name] = setting{"--" + name, []string{value}}
	}
	cfg, err := resolve(fromMap(all))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSteering(cfg, zerolog.Nop(), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUplinkOfACluster runs clusters whose nodes come and go at random on a fake clock. Once all have heard of a change the shares
// together are never above the uplink, and a while after it all of it is divided equally among those that are there.
func TestUplinkOfACluster(t *testing.T) {
	const total, beacon, most = 90_000_000, 10 * time.Second, 6
	settings := map[string]string{"uplink": "90MB/s", "beacon-interval": beacon.String()}
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		now := time.Unix(1_800_000_000, 0)
		var nodes [most]*steering // nil: not there
		var heard [most]time.Time
		var rates [most]int64
		changed := now
		for range 2000 {
			now = now.Add(steerInterval)
			if i := rng.IntN(most); rng.IntN(100) == 0 {
				changed = now
				if nodes[i] == nil {
					nodes[i] = steered(t, now, settings)
				} else {
					nodes[i] = nil
				}
			}
			there := int64(0)
			for i, n := range nodes {
				if n != nil {
					there++
					if now.Sub(heard[i]) >= beacon || now.Equal(changed) {
						heard[i] = now
					}
				}
			}
			var sum int64
			for i, n := range nodes {
				if n == nil {
					continue
				}
				var list []livesync.NodeStatus
				for j, at := range heard {
					if j != i && !at.IsZero() {
						list = append(list, livesync.NodeStatus{ID: wire.NodeID{byte(j)}, LastHeard: at})
					}
				}
				n.look(now, list, true)
				rate := n.state(now).rate
				if rate != rates[i] { // Stats is most of the time that the test takes
					rates[i] = rate
					if bytes := n.pacing.Stats(now).Rate; bytes != rate {
						t.Fatalf("seed %d: the rate is %d, paced are %d", seed, rate, bytes)
					}
				}
				if sum += rate; now.Sub(changed) > 7*beacon && rate != total/there {
					t.Fatalf("seed %d: one of %d nodes has %d of %d", seed, there, rate, total)
				}
			}
			if now.Sub(changed) > steerInterval && sum > total {
				t.Fatalf("seed %d: %d nodes send %d of %d", seed, there, sum, total)
			}
		}
	}
}

// TestSiblingsOfTheUplink: a node that went silent and answers probes keeps its share, one whose probes fail while it is
// heard loses it.
func TestSiblingsOfTheUplink(t *testing.T) {
	health := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(health) }))
	defer server.Close()
	now := time.Now()
	s := steered(t, now, map[string]string{"uplink": "8MB/s", "beacon-interval": "1s", "sibling": "http://127.0.0.1:6969=" + server.URL})
	probe := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- s.siblings.Run(ctx) }()
		before := s.siblings.Stats(now)[0]
		await(t, "a sibling is probed to the end", func() bool { return s.siblings.Stats(time.Now())[0].Up != before.Up })
		cancel()
		<-done
	}
	node := livesync.NodeStatus{ID: wire.NodeID{7}, Address: netip.MustParseAddrPort("127.0.0.1:4711"), LastHeard: now}
	share := func(what string, heard time.Duration, want int64) {
		t.Helper()
		node.LastHeard = time.Now().Add(-heard)
		for range 10 { // longer than the hold-down
			s.look(now, []livesync.NodeStatus{node}, true)
			now = now.Add(time.Second)
			node.LastHeard = node.LastHeard.Add(time.Second)
		}
		if got := s.state(now).share; got != want {
			t.Errorf("%s: the share is %d, want %d", what, got, want)
		}
	}
	probe() // up
	share("heard and healthy", 0, 4_000_000)
	share("silent and healthy", time.Hour, 4_000_000)
	if s.siblings.Stats(now)[0].Trouble != "" {
		t.Error("the probe failed")
	}
}

// TestUplinkOverMulticast: three nodes that meet on the loopback interface divide the uplink, and two do when one is gone.
func TestUplinkOverMulticast(t *testing.T) {
	t.Parallel()
	group := testGroup().String()
	flags := []string{"--livesync-interface", "lo", "--livesync-node", "127.0.0.0/8", "--livesync-group", group,
		"--beacon-interval", "200ms", "--first-beacon-delay", "10ms", "--uplink", "9MB/s"}
	nodes := []*serving{serve(t, flags...), serve(t, flags...), serve(t, flags...)}
	await(t, "each of three has a third", func() bool { return sharesOf(t, nodes) == "[3000000 3000000 3000000]" })
	await(t, "the first one's status tells of the three", func() bool {
		u := nodeStatusOf(t, nodes[0].Admin).Pacing.Uplink
		return len(u.Members) == 3 && u.Total == 9_000_000 && u.Members[0].ID == nodes[0].TrackerID
	})
	nodes[2].wait(t)
	await(t, "each of two has a half", func() bool { return sharesOf(t, nodes[:2]) == "[4500000 4500000]" })
}

// sharesOf returns the rates in force on nodes.
func sharesOf(t *testing.T, nodes []*serving) string {
	t.Helper()
	var shares []int64
	for _, n := range nodes {
		shares = append(shares, nodeStatusOf(t, n.Admin).Pacing.Rate)
	}
	return fmt.Sprint(shares)
}

// TestRoom: a node has no room for a while after it answered with less than everything, however its clock is set meanwhile.
func TestRoom(t *testing.T) {
	now := time.Now()
	for ago, want := range map[time.Duration]bool{0: false, fullMemory - 1: false, fullMemory: true, time.Hour: true, -1: false, -time.Hour: true} {
		if got := roomAfter(now, now.Add(-ago)); got != want {
			t.Errorf("short %v ago: room %t", ago, got)
		}
	}
	if !roomAfter(now, time.Time{}) {
		t.Error("it was never short and has no room")
	}
}

// TestRoomInHealth: a node that runs out of tokens tells its siblings so.
func TestRoomInHealth(t *testing.T) {
	s := serve(t, "--livesync-interface", "none", "--announce-rate", "1/s")
	room := func() string {
		res, err := http.Get("http://" + s.Admin + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("its health is %s", res.Status)
		}
		return res.Header.Get(sibling.RoomHeader)
	}
	if got := room(); got != "" {
		t.Errorf("at the start %s is %q", sibling.RoomHeader, got)
	}
	for port := range uint16(10) {
		announce(t, "udp", s.UDP[0], 7000+port)
	}
	await(t, "it has no room", func() bool { return room() == sibling.NoRoom })
}

// TestCutOff: a node whose interface is away keeps its share: it hears nobody, and the others may be there.
func TestCutOff(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := steered(t, now, map[string]string{"uplink": "8MB/s", "beacon-interval": "1s"})
	var heard []livesync.NodeStatus
	for i := range 60 {
		now = now.Add(time.Second)
		if i < 20 {
			heard = []livesync.NodeStatus{{ID: wire.NodeID{1}, LastHeard: now}}
		}
		s.look(now, heard, i < 20)
	}
	if st := s.state(now); st.share != 4_000_000 {
		t.Errorf("its share is %d, want what it was", st.share)
	}
	for range 10 {
		now = now.Add(time.Second)
		s.look(now, heard, true)
	}
	if st := s.state(now); st.share != 8_000_000 {
		t.Errorf("the interface is back and the other is gone, and its share is %d", st.share)
	}
}

// TestRoles: the role is shown, and a node that is on standby leaves the uplink to the others.
func TestRoles(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for role, want := range map[string]int64{"active": 4_000_000, "standby": 80_000, "backup": 80_000} {
		s := steered(t, now, map[string]string{"uplink": "8MB/s", "role": role, "beacon-interval": "1s"})
		later := now
		for range 10 {
			later = later.Add(time.Second)
			s.look(later, []livesync.NodeStatus{{ID: wire.NodeID{1}, LastHeard: later}}, true)
		}
		if got := s.state(later).share; got != want {
			t.Errorf("%s: the share is %d, want %d", role, got, want)
		}
	}
	if w := ask(testNode(t, map[string]setting{"role": {"", []string{"backup"}}}), "GET", "/api/v1/status", "localhost"); !strings.Contains(w.Body.String(), `"pacing":{"role":"backup"`) {
		t.Errorf("the status is %s", w.Body)
	}
}

// TestMembersSayWhatTheyAre: what nodes of the keyed mode say of themselves decides who has how much of the uplink.
func TestMembersSayWhatTheyAre(t *testing.T) {
	const total = 8_000_000
	now := time.Unix(1_800_000_000, 0)
	for name, tt := range map[string]struct {
		other livesync.NodeStatus
		want  int64
	}{
		"as capable as we are":      {livesync.NodeStatus{Member: livesync.Member{Capacity: 1000}}, total / 2},
		"three times as capable":    {livesync.NodeStatus{Member: livesync.Member{Capacity: 3000}}, total / 4},
		"does not say":              {livesync.NodeStatus{}, total / 2},
		"on standby":                {livesync.NodeStatus{Member: livesync.Member{Capacity: 1000, Role: 1}}, total - total/100},
		"of a role there is not":    {livesync.NodeStatus{Member: livesync.Member{Capacity: 1000, Role: 200}}, total - total/100},
		"about to end":              {livesync.NodeStatus{Member: livesync.Member{Capacity: 1000, Health: wire.Draining}}, total},
		"without peers yet":         {livesync.NodeStatus{Member: livesync.Member{Capacity: 1000, Health: wire.CatchingUp}}, total / 2},
		"has ended, heard just now": {livesync.NodeStatus{Bye: true}, total},
	} {
		s := steered(t, now, map[string]string{"uplink": "8MB/s", "announce-rate": "1000/s", "beacon-interval": "1s"})
		later := now
		for range 10 {
			later = later.Add(time.Second)
			tt.other.ID, tt.other.LastHeard = wire.NodeID{1}, later
			s.look(later, []livesync.NodeStatus{tt.other}, true)
		}
		if got := s.state(later).share; got != tt.want {
			t.Errorf("%s: the share is %d, want %d", name, got, tt.want)
		}
	}
}

// await waits until holds does, or fails the test.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if holds() {
			return
		}
	}
	t.Fatalf("in vain until %s", what)
}
