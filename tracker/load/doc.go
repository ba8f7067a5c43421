// Package load is a closed-loop load generator for trackers: a fixed number of
// announces is in flight at any time, and each answer that comes back is checked
// and followed by the next announce at once. What it finds is how many announces
// a second a tracker answers, how long each takes, and whether the answers are right.
//
// # Who announces
//
// A population of peers is spread evenly over torrents whose info hashes are drawn anew for
// each run, so that nobody else is in their swarms:
//
//	peer k        announces to torrent k mod T, listening on port 1024 + k div T
//	role          three of four are seeders, by a hash of k
//	event         started the first time, none later
//
// Each announce is that of a peer drawn at random. All peers share one address, the one the
// tracker sees, so a torrent has at most 64,512 of them; no network address translation may lie in between.
//
// # When an answer is wrong
//
// What was announced is marked before it is sent. So whatever order answers and announces of other workers
// take, an answer may only tell of what is marked when it is checked:
//
//   - a peer in it has our address, a marked port in that torrent, and is there once;
//   - the asker is not in it, unless it is alone in the swarm;
//   - there are no more peers than wanted;
//   - seeders and leechers are no more than were announced as such;
//   - the interval is not 0.
//
// # How it is fast
//
// A worker owns its connection, its random source, its buffers and its counts, and allocates nothing per announce.
// Over HTTP it is a kept-alive connection with one announce in flight, as a client has it, with a request and a
// response parser of its own. Over UDP it is a connected socket with up to sixteen announces in flight, told
// apart by the transaction id, so that the worker is seldom put to sleep between two answers.
package load
