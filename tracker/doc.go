// Package tracker keeps the swarms of a BitTorrent tracker and serves them over HTTP and UDP.
//
// The store is [Tracker]: clients announce to it, other nodes' records are applied to it, and what the
// other nodes must learn of an announce leaves through [Config].OnChange, under the lock that stored it, so that
// the records of a peer leave in the order in which they happened. [Tracker.Apply] and [Tracker.ApplyAll] never call OnChange: no record travels twice.
// [Tracker.Resend] does, for peers that were told here to come back late. [Tracker.Walk] goes over all there is in short pieces, for
// snapshots and for nodes that catch up, and a [Restorer] takes in what another walk found.
//
// [HTTP] and [UDP] are the servers in front of it. With [Pacing] they ask what an answer may cost after its request was stored (see toll.go and
// http_lane.go); without it they compare one pointer.
//
// # Layout
//
// A tracker of a hundred million peers on 64 cores must not make the collector look at each of them, stop to grow
// a table, or let one lock hold up the rest. So there are no pointers to torrents or peers, no table is ever rehashed,
// and all is cut into shards by a hash with a secret key, because whoever announces chooses the info hash.
//
//	hash of the info hash, 32 bits: the upper bits name the shard, the lower ones the chain
//	 |
//	 v
//	shard   64 to 1024, 16 for each processor; one mutex, one clock, one source of random numbers each
//	 |
//	 |   heads    [u32][u32][u32] ...     as many chains as torrents: linear hashing, so each new torrent
//	 |              |                     splits one chain and each lost one joins two
//	 |              v
//	 |   record   info hash 20 | last announce | downloaded | next in chain | partial seeds | 4 slots      56 bytes
//	 |                                                                                        |
//	 |   slot     place of a block 25 bits, peers in it 7 bits: one for each of       <-------+
//	 |            IPv4 leechers, IPv4 seeders, IPv6 leechers, IPv6 seeders
//	 |              |                                |
//	 |              | up to 64 peers                 | more: number of a directory
//	 |              v                                v
//	 |   block    [peer][peer][peer] ...    directory  [slot][slot][slot] ...   linear hashing again, by a hash
//	 |              ^                                    |      |      |        of the peer, some 20 a block
//	 |              +------------------------------------+------+------+
//	 |
//	 +-- slab     chunks of 2048 words, from which the blocks are cut
//
//	peer over IPv4, a word:       address 32 | port 16 | meta 16
//	peer over IPv6, three words:  address 64 | address 64 | zero 32 | port 16 | meta 16
//	meta:                         partial seed 1 | completion counted 1 | told in tick 6 | seen in tick 8
//
// A peer's role is the table it is in, so counts are lengths and cannot be wrong. To find a peer is to
// go through one block: a few cache lines. An announce touches a head, a record, one block for the peer and, in a large swarm, about
// one block for every four peers of the answer.
//
// # What grows with what
//
//	per peer      8 bytes over IPv4, 24 over IPv6, and a fifth to a third more for what blocks and runs leave free
//	per torrent   56 bytes for the record, 4 for its chain's head, nothing for tables without peers
//	per shard     a chunk of 16 KiB as soon as it has a peer, a few hundred bytes before; 1 KiB for the sums of a cluster with a key
//	collector     one pointer for each 16 KiB of peers and each 256 torrents: 70,000 for 100 M peers in 1 M torrents
//	longest lock  a sweep's piece of 256 blocks, 25 us or so; nothing grows with the number of torrents or peers
//	locks at once one, but for ApplyAll and announces read together in a large store: those of the shards of 32
//	limits        256 MiB of blocks a shard, which is 27 M peers over IPv4 in one swarm; beyond that peers are refused and counted
//
// Memory that peers leave is used for other peers. What a sweep finds empty, or makes empty, is given back (see compact.go). A [Budget] bounds
// it: it says there what is refused, forgotten or sampled under which pressure.
//
// A completion is counted once for each peer, which remembers it in a bit. Of a peer that is not kept, because its swarm is a sample, nothing is
// remembered: a client of such a swarm that says twice that it has completed is counted twice, as by a tracker that remembers none.
//
// # Time
//
// Every method takes the time from its caller. A shard counts it in ticks (see clock): a sixtieth of the peer timeout for when a peer was seen, an
// eighth of the renew boundary for when the other nodes last learned of it, minutes for torrents. The peers hold the low bits of a tick.
// [Tracker.Expire] sweeps once a tick over everything, in short pieces, forgets what is too old and rewrites
// what would be too old to tell before the next sweep. A peer that is booked to come back late is stored as seen in the future (see resend.go). A machine that slept or a clock that was set neither
// lets old peers look fresh nor kills fresh ones.
package tracker
