// Package repair gets back the packets of records that the network lost, between nodes that share a key. It is pure: a
// [Machine] is told what was sent and what was heard, and returns what to apply, what to send again, what to ask for and
// what is lost for good. Nothing here verifies a tag; who calls has done that, and has refused replayed control packets.
//
// # One lost packet
//
//	sender                                  receiver                              another receiver that lost it
//	  | 6 --- kept in the ring ------------> | apply 6                             | apply 6
//	  | 7 --- kept in the ring ------- x     |                                   x |
//	  | 8 ---------------------------------> | hold 8: 7 is suspected              | hold 8
//	  | 9, 10 -----------------------------> | hold: 7 is missing (3 later)        | hold
//	  |                                      | wait 0..20 ms                       | wait 0..20 ms, longer
//	  | <-------------------- NACK 7 ------- | ----------------------------------> | suppressed: asked for it as well
//	  | 7 again, same bytes ---------------> | apply 7, 8, 9, 10                   | apply 7, 8, 9, 10
//
// # Receiver: a number of one sender
//
//	          a higher number, or the sender's
//	          STATE or BYE, shows that it exists          3 later packets, or 50 ms
//	unseen ------------------------------> SUSPECTED ------------------------------> MISSING (asked 0 times)
//	  |                                       |                                         | after 0..20 ms
//	  | it arrives                            | it arrives: it was                      v NACK, or another's NACK was heard
//	  v                                       | overtaken                            ASKED (1, 2, 3 times) ----+
//	below it all here or given up? <----------+---------- it arrives: repaired ---------| ^  50, 100, 200 ms   |
//	  | yes          | no                                                             | +-- after the 1st, 2nd
//	  v              v                                                                v after the 3rd; or the sender's GONE; or
//	APPLIED <----- HELD  (4096 a sender, 8 MiB for all; else REFUSED,              GIVEN UP  the window would grow beyond 4096
//	  |                   as if it had not come)                                      |
//	  v it comes again                                                                v lost: catch up from when the number
//	duplicate                                                                       late    below it came; it comes after all
//
// A NACK that repeats another is sent twice, 10 ms apart, and what is asked for again is sent again twice: where one packet in twenty is
// lost, one in some millions is given up, and would have to be fetched.
//
// Each wait after a NACK is up to 20 ms longer, at random, because nodes that were silenced by the same NACK would all
// repeat it at once. A PROMISE heard puts the next step off by 50 ms, once, without counting as a miss. A NACK names all missing
// numbers of its sender that would be asked for within 20 ms. So a number is waited for at most
// 50 + 20 + 3 x 20 + 50 + 100 + 200 + 70 = 550 ms, in all but one case in thousands less than 200.
//
// # Sender
//
//	ring       the last 4096 numbers: packets, their bytes unchanged, kept after sending; and numbers used up by discards
//	NACK       kept here -> repair queue, once however many ask, and not again within 30 ms of its last repetition
//	           discarded, older than 3 s, or than the ring -> GONE, with the age of the oldest, at most every 20 ms
//	           not yet sent -> nothing
//	queue      256 packets; what does not fit, or was not asked for within 240 ms, is dropped: it will be asked for again
//	rate       a quarter of the packets sent live, at least some 50 a second, doubled while more than 128 wait; 16 at once, or what
//	           50 ms of live packets allow
//
// Repair is for losses and short interruptions. After a longer one the senders' packets would be applied sender by sender, and not in the order in
// which a client announced to several of them; so nobody sends again what is older than 3 s.
//
// # Standing in for another
//
// A receiver keeps the last 1024 packets of each sender. A sender counts as silent when it said BYE, was not heard for
// 2.5 s, or was not heard since it was asked 40 ms ago or earlier; whoever still answers has answered by then.
//
//	NACK for a silent sender, not "origin only", and we have some of it --> PENDING for 0..20 ms
//	PENDING   another's PROMISE covers it, or the packet is heard again     --> dropped
//	          time is up                                                    --> PROMISE, and into the repair queue
//
// Who hears a promise asks for that much less. Who was promised something that did not come asks for it at its origin only,
// as long as that one is heard.
//
// # What an enemy can do
//
// Packets without a valid tag never come here. A repetition of an old one is a duplicate: it costs a comparison, is never held and never
// answered. What leaves is bounded whoever asks, a node with the key that has gone mad included: packets by the rate, a missing number by five
// NACKs, GONE by one in 20 ms, PROMISE by the room in the queue.
package repair
