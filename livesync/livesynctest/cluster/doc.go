// Package cluster simulates whole clusters: each node is a store and a livesync node as the program joins them, on a clock and a
// network that are only numbers. A seed gives a [Schedule] of announces and faults, [Schedule.Run] plays it and compares every
// node with a model of what must hold. The same seed gives the same bytes on every machine: one goroutine, no real
// time, no map whose order matters.
//
//	schedule   announces | noise, cuts, crashes, pauses, slow receivers, forgeries |          quiet
//	           |---------------------- events --------------------------------------|--- settling ---|
//	                                                                            last fault        compared
//
// # What must hold
//
// Plain: settling takes one peer timeout and the ticks of expiry. Then all nodes hold the clients that still announce, in their
// roles, and nobody else. Downloads differ at most by the completions that were told during faults; a node that
// was restarted may lack what it had counted before.
//
// Keyed: settling takes a bounded time. Then every node holds what the last record of each client says, with these exceptions,
// where either is right: records of one client that two nodes told at nearly the same time; what a
// node told that crashed before everybody had it; silent clients whose time to be forgotten is near.
//
// Mixed, some nodes with a key and some without: what holds in plain mode, but that a node without a key takes a packet that is
// sent again for a new one.
//
// Always: nobody applies a record that nobody told, in keyed mode not more often than it was told; no node sends a
// record that it was not offered, unless it repeats the bytes of another's packet.
//
// # Where it lies
//
// This package needs both the store and livesync, as only commands do otherwise. It is for tests and scripts/simulate; no
// part of the program imports it.
package cluster
