// Package abuse finds clients that do what no real client does, and names them to a jail, which is package pacer's.
//
//	a proven request --> budget of its address and, in IPv6, of its /64 and its /56 --> beyond it: the jail, until five minutes after the last offence
//
// There are three offences, each with an allowance that fills up again, see [Bounds]:
//
//	budget    more requests
//	spray     announces of torrents that nobody knew
//	harvest   leechers that appear in known torrents and are given peers; who comes back to a torrent gets one of those back
//
// The allowances are those of a town behind one address: five thousand clients with twenty torrents each, that all come at once because the tracker was
// away, are within them. A single household is far below.
//
// # What is proven
//
// Only requests over TCP, or over UDP with a connection id that was given to their address, count. Nobody gets into the jail for what others wrote his address on.
// A wrong connection id proves nothing. An address from which too many come, of which none was ever given to it, gets only so many connection ids a second, and
// that is all: who has an id is served as ever. An id that was good once is no offence, nor is any soon after the start, since they may be
// those of the process before.
//
// # Memory
//
// It is 1 MiB, whatever comes. Clients share 16384 cells by a keyed hash. In each cell every allowance is of one client at a time: one that comes beside it
// takes as much off what that one used up, and takes the place over when nothing is left of it. So nobody answers for others, who offends is not displaced by
// many that each come seldom, and where a client's cell is nobody knows. Nothing takes a lock but to sentence.
package abuse
