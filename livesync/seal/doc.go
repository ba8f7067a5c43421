// Package seal makes and checks the tags of livesync's keyed mode, and decides whose packets are believed. The trailer that a
// tag stands in is drawn in package wire. Nothing here has a socket, a clock or a goroutine.
//
// # Keys
//
// A cluster key is 32 random bytes in a file that all nodes have (see [ReadFile]). Everything else is derived from it with
// HKDF-SHA256, without salt:
//
//	for              info                                  bytes
//	a sender's tags  "starling livesync 1" | id | epoch    16, of AES-128
//	catching up      "starling catch-up 1"                 32, the seed of an Ed25519 key
//	divergence       "starling divergence 1"               32, of the hash that splits peers
//	a passphrase     "starling passphrase 1"               32, the cluster key itself
//
// So no two senders and no two starts of one share a key, and a nonce needs to be unique only within a start:
//
//	nonce   space u8 | zero 7 | sequence u32
//	tag     AES-128-GCM of nothing, the packet up to the tag as additional data, cut to 12 bytes (GMAC)
//
// A [Sealer] uses a sequence up before it makes the tag, and begins another epoch before one of its spaces runs out: the number after the present one.
// Those of starts are nanoseconds, so that two never meet.
//
// # Whom to believe
//
// A tag says that a packet was made by a node that has the key. It may have been recorded in an earlier life of that node and be
// played again, so an (id, epoch) is believed only once it has shown that it lives now: one of its STATEs returned our challenge,
// which changes every few seconds. What an [Opener] knows of an epoch:
//
//	               a STATE that                 a STATE that returns
//	               verifies                     our challenge
//	unknown   ------------------>   candidate   ------------------->   current   --------------------->   closing   ---->   closed
//	   ^                                |   ^                             | |     another is current,          |  10 s           |
//	   |                                |   +-------- no STATE for 30 s --+ |     and it is epoch + 1          |                 |
//	   |       pushed out by others     |                                   +--- another is current -------- | --------------> |
//	   +--------------------------------+-----------------------------------------------------------------------  1 min  ------+
//
//	epoch       a STATE                           other packets
//	unknown     verified: costs a derivation      unproven, not even looked at
//	candidate   verified                          unproven, not even looked at
//	current     verified                          verified
//	closing     verified                          verified
//	closed      replayed                          replayed
//
// At a proof all sequences up to that STATE count as seen, and from then on no other epoch of the sender is proven by a challenge that was
// drawn before. So neither a STATE that was recorded and played first, nor one of an earlier life that we lost, moves anything.
//
// A sender whose sequences ran out goes on with epoch + 1, which needs no proof while epoch is current: nobody can have recorded it.
// Each epoch has a window of sequences for tells and control packets; one that was seen is a replay. Records
// have their own windows, in package repair.
package seal
