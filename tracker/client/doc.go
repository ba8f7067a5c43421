// Package client asks a tracker as a BitTorrent client does: one announce or
// one scrape, over HTTP (BEP 3, 7, 21, 23, 24, 31, 48) or UDP (BEP 15, 41), of
// any tracker and not of Starling's alone. It serves the commands `announce`
// and `scrape`, and the tests that look at a tracker from outside.
//
// The scheme of the tracker's URL chooses the protocol. Over HTTP the request
// goes straight to the tracker, through no proxy, for a client's address is what a
// tracker is asked to remember; up to five redirects are followed. Over UDP a
// conversation is
//
//	client                                  tracker
//	  |--- connect ---------------------------->|   waits 15 s, then 30, 60 ...
//	  |<-- connection id -----------------------|   (shortened by FirstWait)
//	  |--- announce or scrape, that id -------->|   waits on where connect left off
//	  |<-- answer, or error --------------------|
//
// where each silent wait doubles the next one, the connection id is asked for
// again when it is a minute old, and packets with another transaction id are
// left aside, though the error that ends the wait names them.
//
// Answers are read strictly and within bounds: at most 1 MiB, integers where
// integers belong, compact peers in whole pieces. The order of dictionary keys is
// not insisted upon, as trackers in use get it wrong and no client minds.
package client
