// Package wire turns bytes into values and values into bytes, for every
// protocol a Starling tracker speaks: livesync between nodes, BEP 15 between
// clients and the UDP port, the announce and scrape queries and their bencoded
// answers on the HTTP port. It holds no socket, no clock, no goroutine and no
// logger, and nothing here depends on what a tracker knows.
//
// Values are written by appending ([Record.Append4], [AppendUDPError], ...),
// which cannot fail and does not allocate when the buffer has room. They are read
// by functions that check the length first and never allocate; the slices in
// a parsed value point into the packet and live as long as it does.
//
// All integers on every wire here are big-endian.
//
// # Livesync
//
// Every livesync datagram starts with the same eight bytes:
//
//	 0               4               8
//	 +---------------+---------------+----------------
//	 | node id       | type          | body
//	 +---------------+---------------+----------------
//
//	type 0, any length: peers over IPv4, at most 52 records
//	 8                     28              32      34  35  36
//	 +---------------------+---------------+-------+---+---+
//	 | info hash 20        | IPv4 address  | port  | f | 0 |  28 bytes each
//	 +---------------------+---------------+-------+---+---+
//
//	type 1, exactly 16 bytes: beacon, the number of torrents the sender serves
//	 8                               16
//	 +-------------------------------+
//	 | torrents u64                  |
//	 +-------------------------------+
//
//	type 1, any other length: peers over IPv6, at most 36 records
//	 8                     28                      44      46  47  48
//	 +---------------------+-----------------------+-------+---+---+
//	 | info hash 20        | IPv6 address 16       | port  | f | 0 |  40 bytes each
//	 +---------------------+-----------------------+-------+---+---+
//
//	type 2, exactly 12 bytes: inquire, the id of the node that shall tell
//	 8               12
//	 +---------------+
//	 | node id       |
//	 +---------------+
//
//	type 3, any length: tell, at most 45 entries (46 from an opentracker of 2010)
//	 8                     28              32              40
//	 +---------------------+---------------+---------------+
//	 | info hash 20        | minutes u32   | downloaded u64|  32 bytes each
//	 +---------------------+---------------+---------------+
//
// The flag byte f is 0x80 SEEDING, 0x40 COMPLETE, 0x20 STOPPED. The byte after
// it is written as zero and ignored when read, as are the other five flag bits.
//
// # Livesync, keyed
//
// A node with a cluster key appends a trailer to types 0, 1 (records) and 3, and sends control packets that always have one:
//
//	-24             -16     -12                  0, the end
//	 +---------------+-------+-------------------+
//	 | epoch u64     | seq   | tag 12            |  the tag covers everything before itself
//	 +---------------+-------+-------------------+
//
// A packet of types 0, 1 and 3 with at least one record has a trailer when 24 bytes remain behind its whole records, and then holds at
// most 51, 36 and 45 of them. Whoever has no key ignores the remainder. The epoch is the start of its sender, in nanoseconds; seq counts in the
// space of the type: records, tells, or control packets. Between header and trailer a control packet has:
//
//	type 0x53540001  STATE: who the sender is and what it has, each second
//	  8  next seq u32 of records | 12 of tells | 16 of control packets | 20 sent i64, Unix nanoseconds
//	 28  torrents u64 | 36 peers u64 | 44 id inquired or 0 | 48 challenge 8 | 56 capacity u64
//	 64  catch-up port u16 or 0 | 66 role u8 | 67 health u8 | 68 divergence round u32 | 72 group u8
//	 73  length of version u8 | 74 length of URL u8 | 75 number of echoes u8 | 76 divergence sums i32, 16
//	140  version | public announce URL | echoes: (id 4 | its challenge 8)*
//
//	type 0x53540002  NACK: send these records again
//	  8  id asked 4 | 12 epoch u64 | 20 flags u8: 1 nobody but the origin | 21 zero 3 | 24 ranges (first u32 | last u32)*
//
//	type 0x53540003  GONE: these of mine cannot be sent again
//	  8  epoch u64 | 16 age of the oldest in milliseconds u32 | 20 ranges
//
//	type 0x53540004  BYE: I end
//	  8  next seq u32 of records
//
//	type 0x53540005  PROMISE: I shall send these of a silent node again
//	  8  id of that node 4 | 12 epoch u64 | 20 ranges
//
//	type 0x53540006  EDITS: what changed in lists that all nodes share, and what of them I have
//	  8  number of digests u8 | 9 number of entries u8 | 10 digests: (kind u8 | entries u32 | sum u64)* | entries:
//	    (kind u8 | op u8 | length of reason u8 | id of who changed it 4 | time u64 | end, seconds u64 or 0 | key 20 | reason)*
//
// What follows in a control packet is ignored, but covered by the tag.
//
// The rule for unknown bytes: whole records are read and a remainder shorter
// than a record is ignored, so a later version may append to a packet; a
// packet longer than [MaxPacket] comes from no tracker there is and is refused.
//
// # Excerpts
//
// What a node knows of its swarms, for one that catches up and for a snapshot. Package catchup puts these entries into blocks:
//
//	swarm   | info hash 20 | minutes since the last announce u32 | downloaded u64 | members u32 | members |
//	member  | f | ms since seen i32 | ms since told u32 | 6 bytes of compact peer, 18 over IPv6 |
//	leaver  | info hash 20 | ms since it stopped u32 | address 16, IPv4 mapped | port 2 |
//
// The flag byte f is 0x80 SEEDING, 0x40 COMPLETE, 0x10 PARTIAL, and 0x01 for 18 bytes of peer. Here there is
// no rule for unknown bytes: an excerpt is right to the last bit or refused.
//
// # BEP 15
//
//	connect   | 0x41727101980 u64 | action 0 u32 | transaction u32 |
//	  reply   | action 0 u32 | transaction u32 | connection id u64 |
//	announce  | connection id u64 | action 1 u32 | transaction u32 | info hash 20 |
//	          | peer id 20 | downloaded u64 | left u64 | uploaded u64 | event u32 |
//	          | IPv4 address 4 | key u32 | numwant i32 | port u16 | BEP 41 options |
//	  reply   | action 1 u32 | transaction u32 | interval u32 | leechers u32 |
//	          | seeders u32 | compact peers, 6 or 18 bytes each |
//	scrape    | connection id u64 | action 2 u32 | transaction u32 | info hash 20, 1 to 74 |
//	  reply   | action 2 u32 | transaction u32 | (seeders u32, completed u32, leechers u32)* |
//	error     | action 3 u32 | transaction u32 | text |
//
// An announce is 98 bytes and may be followed by options (BEP 41): 0x00 ends
// them, 0x01 is padding, any other is a type byte, a length byte and as many
// bytes of data; type 0x02 carries a piece of the announce URL's path and query.
//
// # HTTP
//
// A request is one head (RFC 9112), at most [MaxHead] bytes, without a body:
//
//	GET /announce?info_hash=%124Vx%9A...&peer_id=...&port=6881&left=0 HTTP/1.1 CR LF
//	Host: tracker.example:6969 CR LF
//	CR LF
//
// Of an announce's query these parameters are read, in any order and each once; all others are skipped:
//
//	info_hash   20 bytes once unescaped, or 32 of which the first 20 count (BEP 52); required
//	port        1 to 65535; required
//	peer_id     20 bytes once unescaped
//	left        bytes still to download, 64 bits; absent: the client is a leecher
//	event       empty, started, completed, stopped or paused (BEP 21)
//	numwant     peers wanted; absent or negative: as many as the tracker likes
//	compact     0: peers as dictionaries
//	ip          the address to store instead of the request's source
//
// Of a scrape's query only info_hash is read, up to 100 times. The answers are bencoded:
//
//	announce  d 8:complete i.e  10:downloaded i.e  11:external ip <4 or 16 raw bytes>
//	            10:incomplete i.e  8:interval i.e  12:min interval i.e
//	            5:peers <6 bytes each>  6:peers6 <18 bytes each>  e
//	  compact=0 ... 5:peers l (d 2:ip <text>  4:port i.e e)* e e
//	scrape    d 5:files d (<info hash 20> d 8:complete i.e  10:downloaded i.e
//	            11:downloaders i.e  10:incomplete i.e e)* e e
//	refusal   d 14:failure reason <text> e
package wire
