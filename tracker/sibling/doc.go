// Package sibling knows the other trackers that clients may be sent to: where they are, which of them are up, and which
// have room.
//
//	--sibling URL=HEALTHZ-URL
//	    |
//	    v
//	   Set <--- Heard ---- a livesync packet came from its address
//	    |  <--- probe ---- GET HEALTHZ-URL: 200 or not, and whether it has room
//	    |
//	    +----- Redirect -> where to send one client that there are no tokens for here
//	    +----- Look -----> whether the node at an address is up, for the shares of the uplink
//
// # A client is sent away once
//
// The query of the address a client is sent to carries a marker, and a query that carries it is never sent anywhere
// again, by any tracker of ours. So there is no loop, however many trackers believe of each other that they have room.
//
//	GET /announce?info_hash=..&port=6881                  there are no tokens
//	302 Location: http://b.example.org:6969/announce?info_hash=..&port=6881&starling-redirected=1
//
// # Health
//
// One pacer.Health judges each sibling; when it wants a probe, Run makes it, one at a time for each. A probe asks for
// nothing but a status: it takes two seconds at most, follows no redirect and uses no proxy. A tracker of ours that has
// itself no tokens says so in a header of its answer (RoomHeader), and is not sent anybody while it does; other programs
// do not say and are taken to have room.
package sibling
