//go:build !linux

package wire

// Starling is made of what Linux offers: the multicast options of its sockets
// and how they behave. A build for another system stops at this line. It stands in this
// package, which needs none of that, because all others import it: the compiler comes here first and has nothing else to say.
var _ = Starling_runs_on_Linux_only
