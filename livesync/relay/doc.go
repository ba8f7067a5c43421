// Package relay joins segments that multicast does not: the nodes of one cluster that reach the same NATS server hear each other
// through it. It carries what package livesync seals, byte for byte, and decides nothing.
//
//	segment 1                                                     segment 2
//	A ~~ group ~~ B                                               C ~~ group ~~ D
//	|             |               NATS server                     |             |
//	+-- publish --+-->  starling.<16 hex of the cluster key>  >---+-- publish --+
//
// # No loops
//
// Each node publishes what it sends itself, and takes in what comes as if it had been heard on the segment. Nobody passes on what
// another published: there is nothing to break a loop of. So every node of a cluster needs the flag; one without it is heard on its own segment
// only, and does not stand in the tables of the others. (One relay for a segment would spare the server the copies, but it would have to be elected,
// watched and followed, and take all of the segment with it when it fails.)
//
// Nodes that share a segment and the server hear each other twice. The first copy counts; the second is dropped by its sequence, as any
// that comes twice, and counted for itself (livesync.Dropped.Twice). A copy that comes first by the relay does no harm: what it is ahead of by the segment is
// missing for 50 ms before it is asked for.
//
// # Who is believed
//
// The tag is the proof, as it is on the segment; where a packet comes from proves nothing, so that no source is looked at, and what has no
// tag is neither published nor taken in. Whoever may use the server can read what is told (who serves what), as whoever is on the segment can:
// its accounts and TLS keep others out. The subject is derived from the key ([Subject]), so that clusters never meet. During a rotation
// a node publishes under its first key and listens under all.
//
// Missing packets are asked for, promised and sent again across the relay, since all of that is packets, too.
//
// # Addresses
//
// A relay draws a number of 64 bits when it is made. The packets that it publishes name as the subject for replies its inbox:
//
//	starling.7f83b1657ff1fc53                      the packets of all
//	starling.7f83b1657ff1fc53.00c0ffee00c0ffee     the inbox of one
//
// To livesync the number is the address (livesync.RelayAddress) of whoever is heard from nowhere else.
//
// # Catching up
//
// There is no TCP between segments that have nothing but the server in common. The connection for catching up, TLS between the two
// nodes with the cluster's key, goes in frames from inbox to inbox instead; the server and the client of it are the same. A frame is
//
//	0      1           9          17
//	+------+-----------+----------+---- ... ----+
//	| kind | number of | at u64   | 0 to 16,384 |
//	|  u8  | conn. u64 |          | bytes       |
//	+------+-----------+----------+---- ... ----+
//
//	kind     at
//	OPEN  1  0                          from who dials, who also draws the number
//	DATA  2  the position of its first byte
//	SEEN  3  how many bytes were read   the other side may be a window, 256 KiB, ahead of that
//	END   4  how many bytes there were  and no more come
//	RESET 5  0                          there is no such connection, or not any more
//
// Frames come in order or not at all. A DATA or END whose position is not the next says that something was lost: the connection is over,
// and livesync asks again as it does when TCP breaks. So nothing is kept to be sent again, and 64 connections hold 16 MiB at most. When the
// server is lost all of them are over.
//
// # Lane
//
// Packets wait in a line of their own, 1024 of them, for a goroutine of its own: no announce, and nothing on the segment, waits for the server. What
// does not fit is dropped and counted, as is all that is sent while the server is away: it would be stale when it leaves. The others see the gap and
// ask, or catch up when it is too wide. The budget of livesync is asked for both ways of a packet together before it leaves, and for a stream
// as it is over TCP.
package relay
