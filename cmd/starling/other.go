//go:build !linux

package main

// Starling is made of what Linux offers: the multicast options of its sockets,
// and how they behave. A build for another system stops at this line.
var _ = Starling_runs_on_Linux_only
