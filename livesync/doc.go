// Package livesync tells the other nodes of a cluster what this node's clients
// announce, and takes in what the others tell, over IPv4 multicast. The packets are
// drawn in package wire; this package decides what is sent, when, and what is believed.
//
// # Peers
//
//	Offer -> queue -> batch -> Send  ~~~ group ~~~>  Read -> checks -> Apply
//	(announce)  (sender's goroutine)                 (receiver's goroutine)
//
// The store offers a record when a client's announce is worth telling. Records wait for
// company until a packet is full or the first of it has waited for the flush interval. A
// receiver applies each record on the goroutine that read it. What was applied is
// never sent on: nothing leads from the receiver to Offer.
//
// Everything here may be lost: the network loses packets, and a full queue its oldest
// records. The store is a cache that heals, because clients announce again and are told
// again; a loss is never waited for, only counted.
//
// # Lanes
//
// Where the operator bounds the rate, a budget is asked before each packet: has its lane the tokens?
//
//	lane      carries               while it has no tokens
//	live      records               a packet waits, and the queue behind it
//	control   beacons, inquiries    one of them waits, nothing else does
//	tell      tells                 one waits; and behind records that wait, which it counts
//
// Nobody who announces ever waits: the queue gives up its oldest record and counts it. What is sent when the program
// ends, the queue at most, asks no budget.
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
// # Scrape sync
//
// A node that is new lacks the download counts of the others. Each node beacons how many
// torrents it serves; one that serves far fewer than another asks it, and is told all; everybody else
// listens, learns, and corrects what it knows better. Three machines run side by side, all
// timers counted in beacon intervals (I); jitter (j) is up to a tenth of one.
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
//
// # Time and randomness
//
// The state machines (batch, asking, telling, better, identity, nodes) are told the time
// and return what to send. [Node] runs them with two goroutines: the sender, with one timer
// set to the first of all deadlines, and the receiver. Tests drive them without either; the
// conversations under testdata are the quickest way to see what they do.
package livesync
