// Package livesync tells the other nodes of a cluster what this node's clients
// announce, and takes in what the others tell, over IPv4 multicast. The packets are
// drawn in package wire; this package decides what is sent, when, and what is believed.
//
// # Peers
//
//	Offer -> queue -> batch -> SendBatch ~~ group ~~> ReadBatch -> checks -> Apply
//	(announce)  (sender's goroutine)                  (receiver's goroutine)
//
// The store offers a record when a client's announce is worth telling. Records wait for
// company until a packet is full or the first of it has waited for the flush interval. A
// receiver applies records on the goroutine that read them, those of all the packets that were there together. What was applied is
// never sent on: nothing leads from the receiver to Offer.
//
// Everything here may be lost: the network loses packets, the system those it has no room for, and a full queue records. The store
// is a cache that heals, because clients announce again and are told again; a loss is never waited for, only counted. With a
// cluster key it is made good as well; see below.
//
// # Lanes
//
// What waits to be sent waits in lanes, which are looked at in this order whenever a packet may leave:
//
//	lane      carries                         waiting                        what does not fit
//	control   beacons, inquiries, and what    64 packets, a newer one of a   the new one
//	          keyed nodes say                 kind in the older one's place
//	live      records                         8192, those of a peer          below
//	                                          coalesced
//	repair    packets sent again              256, in package repair         the new one: it will be asked for again
//	tell      tells                           one, made when its turn comes  nothing: its maker waits
//
// Where the operator bounds the rate, a budget is asked before each packet: has its lane the tokens? Each lane waits for its own, and holds up
// no other, but for the tell: records that were offered when it was made leave before it, since it counts their completions.
// A record waits for one tell at most. What is sent when the program ends, the queue at most, asks no budget.
//
// Records stay in the queue until their packet leaves, so that what a peer does within the flush interval is told as briefly as it can be:
//
//	announced                              told
//	started, renewed, completed            completed
//	started, stopped                       stopped
//	completed, stopped, started            completed; stopped; started
//	stopped, started, stopped              stopped
//
// Whatever a receiver knows before, it knows the same after what is told as after what was announced.
//
// Nobody who announces ever waits. When the queue is full while the interface is there, what others can do without goes first: renewals, then
// starts, completions, and stops last. While it is away nobody knows what will still be true when it is back, and
// the oldest goes, a packet's worth at a time, no faster than the link needed for one; what comes faster than that is
// not taken. When the interface is back the backlog leaves no faster either, and what comes meanwhile behind it. Each record given up
// is counted by its reason ([Discarded]), and with a cluster key each packet's worth of them uses up a sequence.
//
// Packets leave and are taken in many at a time, as many as there are: nobody waits for a burst to fill.
//
// # Who is believed
//
// A datagram is dropped, counted by reason and never answered when it was not
// sent to our group, comes from our own socket or from an address that is not listened to, is shorter or longer than
// any node sends, has an unknown type, or carries our own id. Checks are in this order, cheapest
// first. Of the records in a good packet those are dropped whose address no client can have, and those that their
// sender writes twice, in two dialects, and that we have read in the other one.
//
// Our own id from somebody else's socket means that two nodes ignore each other: we say so and take another id, at
// most once in ten minutes, since the other may be a forger. The swarms are not touched.
//
// # Keyed mode
//
// With a cluster key nothing above is enough to be believed. What carries records, tells or control messages has a tag (package seal), and
// its sender is believed once it has shown that it has the key and lives now:
//
//	A                                          B
//	|  STATE, challenge a  ------------------> |  tag right; b is not in it: A waits
//	| <------------------  STATE, challenge b, |  at once, but 200 ms after the last at least
//	|                      A's challenge was a |
//	|  a is ours: B is believed                |
//	|  STATE, challenge a, B's was b  -------> |  A is believed
//
// Everybody sends a STATE each second, give or take a tenth. It says what the node has, is and wants (see [Member] and package wire), so that
// beacons and inquiries among keyed nodes are not needed; they leave all the same, for nodes without a key, and what has a
// tag those read as if it had none. A believed node that starts anew has another epoch, whose proof ends the old one. Who was not heard for half a minute
// has to return a challenge again, since what it said meanwhile may have been recorded.
//
//	a packet                    from                          is
//	with a trailer              anybody who is listened to    opened: forged, replayed and unproven ones are counted
//	without, beacon or inquiry  a believed node               ignored: its STATE says it
//	without                     one of PlainNodes             taken as in plain mode, unless it has the id of a believed node
//	without                     anybody else                  counted
//
// Our own id counts as another's only when that node is believed, so that no recording, not even of ourselves, makes us take another one.
//
// Sequences are used up as packets leave their lane; records that are given up use some, too. So what is missing is known,
// and package repair gets it back or says from when on it is lost. What leaves at the end is followed by a BYE, thrice
// in 300 ms, during which the node still sends again what it said last.
//
// # Catching up
//
// What repair does not get back, and what a node missed before it was there, comes as a stream over TCP, from the one node that knows it or from the
// one that knows most (package catchup). Until it has caught up since its start a node says so in its STATE and is not ready
// for clients; its own clients it serves all the same. Records that come meanwhile are applied at once, and the stream overwrites none of them:
//
//	Receive -> noted -> Apply           the stream -> without what was noted -> Restore
//	Offer   -> noted, queue                                                     again what was noted during it
//
// A stream begins with how far its teller knows each other node, and so does the snapshot: what no stream can have brought, since its teller lay behind
// itself, is found by that and asked of the node that told it.
//
// For those who ask us there is a journal of the stops of the last ten minutes: of all else the store has the present state. One of all other records
// of the last two minutes is for ourselves: in the store a peer has the tick in which it was seen only, and a stop elsewhere may lie in the same one.
//
// # In sync
//
// A STATE carries a sixteenth of the sums by which two stores are compared without showing each other a peer, and when it was sent. Ours of the
// moment in which it comes are held against them; a round of sixteen gives the number of peers that differ (see divergence), and the
// smallest of three rounds is shown, since what is on its way differs all the time. How long a STATE and all records
// before it took to be applied is its sender's lag. [Status.Sync] puts all of it into one answer.
//
// # Beyond the segment
//
// A [Relay] is a second way for what has a tag, to nodes that multicast does not reach. What leaves the sender goes both ways; what
// comes by the relay is taken in by [Node.Relayed] as if it were heard, from an address that stands for whoever published it. Nothing goes from one way to the
// other. What comes twice is dropped by its sequence; a node that is heard on the segment is at its address there. See package relay.
//
// # Shared lists
//
// What an operator changes in the lists of one node, denied torrents above all, reaches all others of the keyed mode: EDITS, in the control lane, tell each
// change at once and three times more, and every five seconds what their sender has. Whoever has something else asks for the parts that
// differ, over the connection for catching up. See package edits, which decides; [Node] carries.
//
// # Scrape sync
//
// A node that is new lacks the download counts of the others. Each node beacons how many
// torrents it serves; one that serves far fewer than another asks it, and is told all; everybody else
// listens, learns, and corrects what it knows better. Three machines run side by side, all
// timers counted in beacon intervals (I); jitter (j) is up to a tenth of one. A tell comes as fast as its sender sends, so the
// asker pays for the whole of it when it asks, by the torrents of the beacon, and asks again when that is paid off (Config.Owe).
//
//	asking     event                           does                           then
//	idle       beacon, threshold exceeded,     remember its sender            collect, for 2 I + j
//	           sender not left alone
//	collect    beacon with more torrents       remember this one instead      collect
//	           tell                            -                              idle
//	           timeout                         INQUIRE                        asked, for I
//	asked      tell of anybody                 learn                          receiving, for 2 I
//	           timeout, first or second        INQUIRE                        asked, for I
//	           timeout, third                  leave the node alone           idle
//	receiving  tell                            learn                          receiving, for 2 I
//	           timeout, something learned      forget it was left alone       idle
//	           timeout, nothing learned        leave the node alone           idle
//
//	telling    event                           does                           then
//	idle       inquiry for us                  -                              telling, after 50 ms
//	           corrections due                 -                              telling
//	telling    5 ms since the last packet      flush live records, TELL       telling, or idle at the end
//	           inquiry for us                  after the end go round to here telling
//	           tell of a lower id              -                              waiting, for I + j
//	           opentracker of 2010 heard       give up                        idle
//	waiting    tell of a lower id              -                              waiting, for I + j
//	           timeout                         -                              telling
//
//	correcting event                           does                           then
//	           tell says less than we know     remember what it said          due I + j after the last tell
//	           tell says as much or more       forget it                      -
//	           due                             look up, tell if still better  -
//
//	timer                        length                           why
//	flush                        --livesync-flush                 company for a record
//	first beacon                 --first-beacon-delay             a restarted node listens first
//	beacon                       I + j                            -
//	left alone                   2 I, doubling to 1 h             it is dead, or serves what we refuse
//	tell start                   50 ms                            who asks at once is answered at once
//	tell pace                    5 ms a packet                    the receive buffers of others
//	withheld                     1 h                              an opentracker of 2010 hangs on a tell
//	id stays                     10 min                           a forger must not keep us changing
//	type 0 heard                 1 min                            its sender's mapped records are copies
//	node forgotten               1 h                              the table
//	interface looked at          1 s                              down, gone, made anew, moved
//	a packet's worth given up    least of 10 s, 1 ms to 1 s       what the link needed for a packet before it went away
//	STATE                        1 s, give or take a tenth        keyed mode only, as the rest
//	STATE for a newcomer         0 to 50 ms, 200 ms apart         it believes us sooner, and nobody can make us flood
//	challenge                    10 s, good for 30 s              what was recorded before does not return it
//	challenge after a proof      2 s                              the next start has to return one drawn after that
//	silent, in keyed mode        30 s                             it has to return a challenge again
//	address of a keyed node      5 s                              who sends again what we lost is not where it is
//	not returned                 10 s                             who has the key and does not hear us is named
//	change of a list again       200 ms, 1 s and 4 s              packets are lost
//	digest of the lists          5 s, give or take a tenth        nothing while they are empty
//	lists asked for              0.5 to 1 s after they differ     what is on its way differs, too; 2 s apart, doubling to 1 min
//
// # Time and randomness
//
// The state machines (queue and batch, asking, telling, better, identity, nodes) are told the time
// and return what to send. [Node] runs them with two goroutines: the sender, with one timer
// set to the first of all deadlines, and the receiver; catching up has a third, and one for each node that asks. Tests drive them without either; the
// conversations under testdata are the quickest way to see what they do.
package livesync
