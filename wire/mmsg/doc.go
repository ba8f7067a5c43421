// Package mmsg moves many datagrams over a socket by one system call, and allocates nothing while it does: recvmmsg(2) and sendmmsg(2).
//
// Where every datagram is a few microseconds of work, the system call is the better part of it. A [Reader] takes what is there, one datagram or
// many, and never waits for more than the first; so few datagrams are served at once and many at a time.
//
//	Reader   count buffers of size bytes      Read: wait for the first, take those that are there
//	                                          Bytes, From, Name, Control of each, good until the next Read
//	Writer   up to count datagrams            Add: what, whereto, with which control message; none is copied
//	                                          Send: as many as the system takes
//
// Both wait with the program's other descriptors (syscall.RawConn): deadlines and Close of the socket work as ever.
//
// It lies below wire because that is the one ground on which both the announce servers and livesync stand; no other package may need it.
package mmsg
