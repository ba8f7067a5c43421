// Command starling is a BitTorrent tracker that runs as a cluster: what is
// announced to one node is known to all of them, told over a multicast group
// on the local network.
//
// `starling serve` runs one tracker and `starling cluster` several on one
// machine to look at; the other commands look at trackers from outside. Scripts
// rely on the flags, the exit codes and the JSON, which are only ever added to.
//
// This package joins the parts and holds no logic of theirs. Reading order:
// options.go (every setting), config.go (flag beats environment beats file),
// node.go (one tracker from its parts), serve.go and cluster.go, admin.go.
//
// # Where one announce goes
//
//	client
//	  |  socket: one HTTP and one UDP socket for each processor
//	  v
//	server     tracker.HTTP's loop or tracker.UDP's worker; package wire reads the request
//	  |        refused here: what is no request, what came from a client with too many connections
//	  v
//	route      only where there are on-demand trackers: the Host header names the store
//	  v
//	Announce   under the lock of one shard: is it forbidden (tracker/access), the peer is stored,
//	  |        the change is offered to livesync, the peers of the answer are chosen
//	  v
//	pacing     only with a rate: what the answer may cost (tracker/pacer), fewer peers, or another node
//	  v
//	answer     written by the goroutine that read the request; a UDP answer never waits for tokens, it is charged
//
// # Where one record goes
//
//	Announce -> OnChange -> livesync.Offer: a queue that never blocks and never grows beyond its bound
//	sender:     a packet when it is full or 250 ms old, sealed where there is a key -> group, and relay if there is one
//	receiver:   of another node: is it meant for us, believed, new? -> tracker.ApplyAll, which never calls OnChange
//
// So no record travels twice. With a key what is missing is asked for (livesync/repair), and what nobody sends again comes as a
// stream over TLS (livesync/catchup), whose format is the snapshot's.
//
// # Where one scrape goes
//
// A scrape that names its hashes takes the way of an announce and changes nothing. One of all torrents, and opentracker's /stats, are served
// aside: the loop hands the connection to a goroutine (HTTPConfig.Long, longAnswers), which asks the networks of --full-scrape and the
// lists of access, and sends a copy that was made once for all who ask (tracker/fullscrape).
//
// # Where one edit goes
//
//	PUT /api/v1/deny/HASH -> guard (token, or this host) -> lists.edit -> edits.Machine: the latest change of an entry wins
//	    -> new rules, one atomic pointer (Tracker.SetAccess), and what is forbidden now is purged
//	    -> lists.edits and audit.log in the state directory
//	    -> livesync sends it sealed; nodes that were away compare sums and fetch the set as they catch up
//
// What the file of --config and the lists' files say comes in by SIGHUP (reload.go): judged as a whole, then put in force.
//
// # Goroutines
//
// Each is a loop that ends with its context, or with the program when it fails; node.go starts them in three groups, which end in this order:
// HTTP and UDP, then all the rest, so that livesync flushes what clients were told.
//
//	goroutine            as many as                   waits for
//	http                 HTTP sockets                 its epoll descriptor: connections, and a tick for deadlines
//	 a connection        clients that do not read,    the client; with pacing its turn
//	                     long answers, and all while
//	                     there is pacing
//	https                addresses, and connections   the client
//	udp                  UDP sockets                  packets, up to 32 at once
//	pacing               one                          a rate to be set, then its next division
//	expiry               one, and one a tracker       the next tick of the sweep, or booked peers to tell again
//	livesync sender      one, and one a tracker       records, what is due, the receiver's end
//	livesync receiver    likewise                     packets of the group
//	catching up          with a key: a server, a      a node that asks; a node to ask
//	                     client, and one a stream
//	relay                one, with --relay            the NATS server
//	snapshots            one, and one a tracker       five minutes
//	lists                one                          changes of other nodes; files, every few seconds
//	abuse, memory,       one each                     a second or so: they look and say what changed
//	events, steering
//	siblings             one                          probes, every five seconds
//	admin                net/http's                   requests of operators
//	dashboard            one                          the next second
//	certificate          one, with --https            ten seconds
//	systemd              one                          a quarter of WatchdogSec, where systemd asks
//	signals              one for SIGHUP, SIGUSR2      the signal
//
// No goroutine waits for another while it holds a lock of the swarms, and none that serves clients waits for livesync, a disk or an operator.
//
// # What grows with what
//
//	peers         8 bytes each over IPv4, 24 over IPv6, and up to a third more   tracker/doc.go
//	torrents      some 60 bytes each                                             tracker/doc.go
//	listed hashes some 22 bytes each, twice while a file is read again           tracker/access
//	connections   kept open: a few hundred bytes; paced or TLS: a goroutine
//	nodes         their entry, sequences and sums; packets grow with announces,  livesync/doc.go
//	              and each node reads those of all others
//	trackers      one on-demand tracker: a store, a livesync node, a socket
//	processors    sockets and shards
//	time          nothing in memory: histories, events, journals and queues have bounds;
//	              on the disk audit.log, by a line for each change of a list
//
// The limits on what strangers can make grow are --memory-limit for the swarms, --max-connections for sockets, and bounds of every table that
// is kept by address.
package main
