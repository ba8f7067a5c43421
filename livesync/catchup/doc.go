// Package catchup brings a node up to date with another's swarms: over TLS from a node that has them, or from the snapshot that it
// wrote itself before it was started anew.
//
// # The stream
//
// Both are the same stream of bytes, of blocks in one order. Integers are big-endian:
//
//	0                    20
//	+--------------------+--------+-------+-----------+- ... -+-----------+-------+
//	| starling excerpts 1| HEADER | KNOWN | LEAVERS * |       | SWARMS *  | END   |
//	+--------------------+--------+-------+-----------+- ... -+-----------+-------+
//
//	0      1            5         9          13                 13 + n
//	+------+------------+---------+----------+------------------+----------+
//	| kind | stored n   | raw     | ms since | n bytes, which   | checksum |
//	|  u8  |     u32    |   u32   | HEADER's | are zstd's when  |    u32   |
//	|      |            |         | time u32 | n is not raw     |          |
//	+------+------------+---------+----------+------------------+----------+
//
//	HEADER   1  | id 4 | epoch u64 | time, ns since 1970 i64 | within, ms u64 | torrents u64 | peers u64 | flags u8 |
//	SWARMS   2  the excerpts of package wire
//	LEAVERS  3  the leavers of package wire
//	END      4  | swarms u64 | members u64 | leavers u64 |
//	KNOWN    5  [ id 4 | epoch u64 | next u32 | age, ms u32 ]*
//
// The teller's counts of torrents and peers are how many it has in all. Flags are 0x01 SNAPSHOT and 0x02 COMPLETE: the teller knows all
// that the cluster knows. A stream with a within that is not zero holds what the cluster learned within that time; without, everything.
// In a snapshot, which holds everything, it is how long its node had been out of step with the cluster, and its leavers are all that
// were in the node's journal: others may have missed them, and only this node may know.
//
// KNOWN says of each other node which packets of its records the teller has taken in, all below next of that epoch, and how long ago
// it had all that the node had told; the id zero stands for the teller itself, which lacks something since then. Whoever catches up compares
// it with the first packet that it heard of each node: what lies between the two neither has, and is asked of that node.
//
// The checksum is CRC-32C of everything before it, from the first byte of the stream on: a block that is damaged, missing, twice or
// in the wrong place is found out when it has come, and nothing of it is believed before. No block is longer than 256 KiB, packed or not, so that
// whoever reads a stream needs no more memory than that a few times over, whatever somebody wrote into it. END counts what came;
// a stream without it broke off.
//
// # Ages
//
// Members and leavers have ages, not times, counted from when their block was made: no two clocks have to agree. Who catches up takes
// for a block's age what has passed since it asked, less the block's milliseconds; so an age is at most the way to the teller and back too
// long. A snapshot is aged by the wall clock.
//
// # Catching up
//
//	who lacks something                                     who knows it
//	 |  TCP, TLS 1.3, both show the key of the cluster       |
//	 |  <--------------------------------------------------> |
//	 |  request: who asks, who is asked, within -----------> |  is that us, and this start of us?
//	 |                                                       |  stops from the journal, a walk over the store
//	 |  <--------------------- HEADER KNOWN LEAVERS SWARMS   |  block by block, as the budget has it
//	 |  is that who we asked?                                |
//	 |  store it; live records of meanwhile win              |
//	 |  <------------------------------------------- END     |
//	 |  it held all: forget who was not in it                |
//	 |  it was for the start: what did the teller not know?  |
//
// The [Machine] says when, whom and since when; a [Learner] takes a stream in; a [Teller] makes one; [Fetch] and [Server] carry it. All but the last
// two are told the time and have no sockets. A stream that breaks off has told nothing wrong: the next source is asked for the same.
//
// At most eight nodes are told at once. A connection has five seconds for the handshake and the request, and is given up when nothing comes for ten. Before the other side has
// shown the key it gets nothing but a handshake, and takes nobody's place: 64 such connections may be there, 8 of one address, and each that came to nothing
// counts for a second more.
package catchup
