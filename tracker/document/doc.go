// Package document serves documents that cost much to make: they are made once,
// in the background, for all who ask.
//
//	               fresh             stale, not older than Keep     none, or older than Keep
//	           +-----------+         +----------------------+       +------------------------+
//	request -->| the copy  |         | the copy, to all; one|       | one is made; all follow|
//	           +-----------+         | is made meanwhile    |       | it as its bytes arrive |
//	                                 +----------------------+       +------------------------+
//
//	under overload   the last good copy, however old, and nothing is made; without one an error
//	a build fails    who followed it and has read nothing is given the last good copy; so is everyone who
//	                 asks within Fresh, after which it is tried again
//
// The request that finds that there must be a new one is like any other: it waits with the
// others or is given the stale copy. No two builds run at a time, and they begin
// at least Fresh apart, however many ask and whatever becomes of them.
//
// # Memory
//
// A document is kept in chunks that are written once and shared by all
// readers. One stays as long as somebody reads it: readers bound how long that
// may take, and an [Admission] how many of them there are.
package document
