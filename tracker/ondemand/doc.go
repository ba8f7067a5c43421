// Package ondemand has trackers that are made while the program runs: each has
// swarms of its own, which requests reach by their Host header, is kept in a file, and
// syncs with the tracker of the same name on other nodes.
//
//	GET /announce?...                          PUT /api/v1/director/films?hostname=films.example.org
//	Host: films.example.org:6969                   |
//	    |                                          v
//	    v                                       Registry: one change at a time
//	  Route: one atomic load, one map look-up      | 1 check, conflicts
//	    |                                          | 2 file: temporary, fsync, rename, fsync of the directory
//	    |    +------------ new table <-------------+ 3 tracker made and started
//	    v    v                                       4 table published
//	[films.example.org] -> films   --> its own swarms, group port 20000 + hash of "films"
//	[cats.example.org:80] -> cats  --> its own swarms, group port 20000 + hash of "cats"
//	anything else -> the server's own tracker
//
// Requests never wait for a change: they look at the table, which is replaced as a
// whole and never written to. A change is in its file before it takes hold; what
// was removed is gone from the disk first. So a crash at any moment leaves the old state or the new one.
//
// # Files
//
// Every tracker has a file in one directory. What it says counts, not how it is called:
//
//	[ondemand]
//	port = 6969
//	name = "films"
//	hostname = "films.example.org"
//
// Left-overs of a crash (*.tmp) are removed at the start. A damaged file is named in the log and
// renamed to *.damaged, and the others are served. One that contradicts another, or whose
// group port is taken, is named in the log and left where it is.
//
// # Hosts and ports
//
// A hostname is compared without regard to case and a final dot. With a port, the
// Host header must have that port, which is 80 when it names none; without one,
// any port will do, unless another tracker has just that one. Datagrams name no host,
// so these trackers are reached over HTTP only.
package ondemand
