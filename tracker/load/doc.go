// Package load is a load generator for trackers. It makes announces and scrapes over UDP or HTTP, checks each answer
// against what it has announced, and finds how many a second a tracker answers, how long each takes, what the tracker's process
// uses for it, and whether the answers are right.
//
//	closed loop   a fixed number of requests is in flight; each answer is followed by the next request at once
//	open loop     requests are made at a fixed rate, whatever the tracker does, and a latency counts from when its request
//	              was to be made: one slow answer does not keep the requests behind it from being measured (coordinated omission)
//
// # Who announces
//
// A population of peers is dealt out to torrents by Zipf's law; info hashes are drawn anew for each run, so that nobody else is in their swarms:
//
//	torrent i     has peers in proportion to 1 / (i+1)^skew, at least one
//	peer k        announces from address k mod S, of S sources, and listens on port 1024 + k div S
//	role          three of four start as seeders, by a hash of k
//	request       of a peer drawn at random: started if it is not there; else 3 % are scrapes, 4 % stops,
//	              3 % of leechers complete, and the rest are regular announces
//
// So a torrent has at most 64,512 peers a source. With one source it is the address that the tracker sees, and no network
// address translation may lie in between; with more the tracker is on loopback, and they are addresses in 127.1.0.0/16.
//
// Each peer belongs to one worker, which alone changes its state, and has one request under way at a time.
//
// # When an answer is wrong
//
// What a request is going to change is noted before it is sent when it adds to what answers may tell, and after its answer when it takes away.
// So whatever order requests and answers of other workers take, an answer may only tell of what is noted when it is checked:
//
//   - a peer in it has announced to that torrent, has not stopped before the request was made, and is there once;
//   - the asker is not in it, unless it is alone in the swarm;
//   - there are no more peers than wanted;
//   - seeders and leechers are no more than ever announced as such, and together no fewer than were there for certain, less what was in flight.
//     This last holds for ten minutes: then a tracker may begin to forget peers that were not drawn again;
//   - the interval is not 0.
//
// # How it is fast
//
// A worker owns its connection, its random source, its buffers and its counts, and allocates nothing per request.
// Over HTTP it is a connection with one request in flight, as a client has it, with a request and a
// response parser of its own. Over UDP it is a connected socket with up to sixteen requests in flight, or with a given rate its share of all that may be, told
// apart by the transaction id. The answers that are there are read by one system call, and as many requests, or those that are due, leave by one.
//
// Memory is some 8 bytes for each peer, 40 for each torrent, 32 KiB for each worker and with a given rate 192, and 16 KiB for each second of the run.
package load
