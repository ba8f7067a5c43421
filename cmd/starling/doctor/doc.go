// Package doctor looks at a host as a tracker's operator would when nodes do not hear each other, and says what to do.
//
// [Look] takes a [Snapshot]: interfaces, files of /proc and /sys, what passes on the group within some seconds, the rules of the firewall.
// [Findings] judges one, and needs nothing but it.
package doctor

import (
	"net/netip"
	"time"
)

// A Snapshot is what was seen. What could not be seen is zero, or has a word on why.
type Snapshot struct {
	Interface Interface
	Group     netip.AddrPort
	Listening Listening
	Queries   Queries

	ReceiveMax int // bytes, of net.core.rmem_max
	Granted    int // bytes that a livesync socket got
	FileLimit  uint64

	ClockKnown  bool
	ClockSynced bool
	ClockKeeper string // the process that keeps it right, one of keepers; empty: none is seen

	ConntrackCount, ConntrackMax int // 0: the kernel tracks no connections
	Memory                       Memory
	Ports                        []Port
	Rules                        string // of nft or iptables, as text
	Node                         *Node  // nil: none runs at the admin address
	NodeError                    string // why not
}

// Interface is where livesync runs, or would.
type Interface struct {
	Wanted    string // as --livesync-interface has it
	Trouble   string // why there is none to use
	Name      string
	Up        bool
	Multicast bool
	Loopback  bool
	Addr      netip.Prefix
	Public    bool   // it has an address that strangers may reach
	Bridge    string // the bridge it is, or is a port of
	Snooping  bool   // of that bridge
	Querier   bool   // of that bridge
	IGMP      string // the version the kernel speaks on it: V1, V2 or V3
	Members   bool   // the kernel was told of the group while we had joined
}

// Listening is what came within some seconds of membership.
type Listening struct {
	For     time.Duration
	Trouble string // why the group could not be joined
	OwnBack bool   // our own packet came back
	Heard   []Heard
}

// Heard is one sender.
type Heard struct {
	Addr    netip.Addr
	ID      string // the last that it used
	Group   netip.AddrPort
	Kind    Kind
	Packets int
	Local   bool // it runs on this host
	Clock   time.Duration
	Timed   bool // Clock is how far its clock is ahead of ours, less than a moment for the way
}

// Kind is what a sender is.
type Kind string

// The kinds of sender.
const (
	Keyed    Kind = "keyed node"
	Plain    Kind = "node without a key or opentracker"
	Old      Kind = "opentracker of 2010"
	Stranger Kind = "something that is no tracker"
)

// Queries says whether an IGMP querier was heard.
type Queries struct {
	Trouble string // why nobody listened
	From    netip.Addr
}

// Memory is what the host has, in bytes. Limit is of the control group, 0 for none.
type Memory struct{ Total, Available, Limit int64 }

// Port is one that a tracker wants.
type Port struct {
	Protocol string // tcp or udp
	Port     uint16
	Taken    bool
	Owner    string // the name and number of the process, where it can be seen
}

// Node is what a running node says of itself.
type Node struct {
	Admin       string
	Version     string
	Interface   string
	Group       string
	State       string
	Trouble     string
	Mode        string
	Nodes       int
	InSync      *bool
	InSyncWhy   string
	CatchingUp  bool
	Auth        uint64 // packets whose tag is wrong
	PlainDrop   uint64 // packets without a tag in keyed mode
	KernelDrop  uint64
	MemoryLimit int64
	Resident    int64
}
