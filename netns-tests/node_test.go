package netnstests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A node is a tracker that runs on a host.
type node struct {
	*host
	*process
	t   *testing.T
	log string
	id  string // as its status said at start
}

// A status is what the tests read of /api/v1/status, by the names that
// scripts rely on.
type status struct {
	TrackerID string `json:"tracker_id"`
	Ready     bool
	Torrents  uint64
	Peers     struct{ IPv4, IPv6 uint64 }
	Seeders   uint64
	Livesync  struct {
		Group, Interface, Mode, State string
		Sent, Received                struct{ Packets, Records, Beacons, Inquiries, Tells uint64 }
		Dropped                       map[string]uint64
		CatchUp                       struct {
			Running bool
			From    string
			Peers   uint64
			Failed  uint64
		} `json:"catch_up"`
	}
	Pacing pacing
	Memory struct {
		Pressure string
		Refused  map[string]uint64
	}
	Relay struct {
		Connected bool
		Connects  uint64
		Sent      struct{ Packets uint64 }
	}
	Nodes     []otherNode
	InSync    *bool  `json:"in_sync"`
	InSyncWhy string `json:"in_sync_why"`
}

// An otherNode is what a tracker's status says of another.
type otherNode struct {
	ID, Address, Mode, Health, Epoch         string
	LastHeard                                float64 `json:"last_heard_s"`
	Packets, Records                         uint64
	Lost, Repaired, Late, Duplicate, Refused uint64
	LagMax                                   float64 `json:"lag_max_s"`
	Divergence                               *struct{ Peers uint64 }
}

// serve starts a tracker on the host and waits until it is ready.
func (h *host) serve(flags ...string) *node {
	h.net.t.Helper()
	n := h.launch(flags...)
	eventually(n.t, h.name+" is ready", func() error {
		s, err := n.status()
		if !n.running() {
			n.t.Fatalf("%s ended instead of serving: %v", h.name, n.err)
		}
		if err == nil && !s.Ready {
			err = errors.New("not ready")
		}
		n.id = s.TrackerID
		return err
	})
	return n
}

// launch starts a tracker and does not wait for it. What most tests want is
// added to the flags unless they say otherwise.
func (h *host) launch(flags ...string) *node {
	h.net.t.Helper()
	n := &node{host: h, t: h.net.t, log: h.name + ".log"}
	args := append([]string{"serve", "--log-level", "debug", "--log-format", "json"}, flags...)
	for flag, value := range map[string]string{"--livesync-interface": "eth0", "--livesync-flush": "50ms"} {
		if !slices.Contains(flags, flag) {
			args = append(args, flag, value)
		}
	}
	n.process = h.start(n.log, os.Getenv(binaryEnv), args...)
	n.t.Cleanup(func() {
		if n.running() {
			n.stop()
		}
	})
	return n
}

// stop ends the tracker the way an operator does.
func (n *node) stop() {
	n.t.Helper()
	n.process.stop(n.t)
}

// status asks the tracker how it is.
func (n *node) status() (s status, err error) {
	resp, err := n.httpClient().Get("http://127.0.0.1:6970/api/v1/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status: %s: %s", resp.Status, bytes.TrimSpace(body))
	}
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// now is the status of a tracker that must have one.
func (n *node) now() status {
	n.t.Helper()
	s, err := n.status()
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	return s
}

// until waits for a status that the check has nothing against.
func (n *node) until(what string, check func(status) error) (s status) {
	n.t.Helper()
	return n.untilWithin(patience, what, check)
}

// untilWithin does the same with a deadline of its own.
func (n *node) untilWithin(deadline time.Duration, what string, check func(status) error) (s status) {
	n.t.Helper()
	within(n.t, deadline, n.name+": "+what, func() (err error) {
		if s, err = n.status(); err != nil {
			return err
		}
		return check(s)
	})
	return s
}

// holds waits until the tracker has exactly these numbers of peers.
func (n *node) holds(ipv4, ipv6 uint64) {
	n.t.Helper()
	n.until(fmt.Sprintf("%d and %d peers", ipv4, ipv6), func(s status) error {
		if s.Peers.IPv4 != ipv4 || s.Peers.IPv6 != ipv6 {
			return fmt.Errorf("it has %d IPv4 and %d IPv6", s.Peers.IPv4, s.Peers.IPv6)
		}
		return nil
	})
}

// logged returns the lines of the tracker's log that contain all the words.
func (n *node) logged(words ...string) (lines []string) {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.net.dir, n.log))
	if err != nil {
		n.t.Fatal(err)
	}
next:
	for line := range strings.Lines(string(text)) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}
