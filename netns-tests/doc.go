// Package netnstests runs the built binary on several hosts. A host is a
// network namespace with an address of its own; a bridge joins the hosts of a
// test to one segment, and what goes over it is captured there:
//
//	         namespace N-switch
//	  +------------------------------+
//	  |             br0 <--- capture |
//	  |   +----------+---------+     |
//	  | veth a     veth b    veth c  |
//	  +---|----------|---------|-----+
//	      |          |         |
//	   eth0       eth0      eth0
//	10.77.0.1  10.77.0.2  10.77.0.3
//	 fd77::1    fd77::2    fd77::3
//	+--------+ +--------+ +--------+
//	|  N-a   | |  N-b   | |  N-c   |   one starling serve in each,
//	+--------+ +--------+ +--------+   or a client, or a forger
//
// Every test has a segment of its own, so that tests run side by side and all
// use the addresses above. The whole suite lives in one outer namespace for
// mounts, processes and the network, entered before the first test: whatever
// happens, nothing is left behind when it ends. Root enters it directly;
// anyone else through a user namespace, as `unshare -Urnm` does.
//
// What is seen on the segment is read by a decoder that was written from the
// protocol's text alone and shares no line with the program, and every packet
// of every test has to pass it. Captures and logs of a failed test are kept.
//
// No test sleeps: each waits for what must become true, up to a deadline, by
// asking the status address or by reading on in the capture. Only how long a
// cable is out or a process stands still is part of what is tested.
//
// The tests of a cluster with a key (keyed_*_test.go) have thousands of clients
// come at a rate, a flock, and a million peers by packets of a host that has
// no key and is believed, a filler; they assert what was lost, how late, how
// much was sent again, and that the nodes themselves say that they are in sync.
// Their bounds leave a busy machine room; what was measured is logged (-v).
//
// The dashboard is looked at in a headless Chromium on one of the hosts, driven
// over a pipe (browser_test.go). Its pictures are kept by go test -artifacts.
//
// What a test needs and does not find here (ip, nft, a client, a browser) it
// names when it is skipped; STARLING_REQUIRE=all turns that into a failure.
package netnstests
