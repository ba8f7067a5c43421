// Package edits keeps lists that all nodes of a cluster share: each node may change an entry, and all come to the same.
//
// An entry has a kind, which is the list it belongs to, a key of 20 bytes, and the latest change of it. Of two changes the one with the later time counts;
// among those of the same time that of the higher node id, and after that whatever compares higher: all nodes choose the same, in whatever order they
// hear of them. Times are hybrid: those of the clock, but later than any that was heard, so that who changes what it sees is believed, whatever its clock
// shows. A change from further in the future than a day is refused, lest one bad clock rule for ever.
//
//	Edit ----> stored, stamped --> EDITS at once, and three times more --> the others: Heard, stored when later
//	              |
//	              +--> Changes: whoever puts the lists in force            a digest of all, every 5 s
//
//	a digest differs for half a second --> fetch, over TCP:
//	   sums of 256 parts of each kind ---->  compares them with its own
//	   stored when later            <------  all entries of the parts that differ
//
// Both sides hear the other's digest, and so each fetches what it lacks. Nobody sends on what it heard.
//
// # Ends
//
// An entry with an end has no effect from then on, and is kept for a day more: whoever did not hear of it until then may still have an older change of the same
// entry, and it would win. A removal is an entry like any other. Whoever removes says how long it is to be kept; 90 days are usual, and a node that was away
// for longer may bring back what was removed meanwhile.
//
// # Bounds
//
// Each kind has a number of entries that it holds at most. What goes beyond is refused, and counted; entries that ended take room until they are
// forgotten. A kind that is not known here is neither stored nor sent on, and not compared: an old node and a new one share what both know.
//
// [Machine] is told the time and returns what to send; it has a lock of its own, for the API's sake. The memory of an entry is some 80 bytes without
// pointers, and its reason, if it has one.
package edits
