// Package pacer is the shared token bucket and everything that stands on it:
// who may send how much and when, and what a client gets when there is nothing
// to send it with. It needs nothing but the standard library. Time comes in as
// an argument, no constructor starts anything, and the parts without a lock say
// so.
//
// # The tree
//
// Tokens are bytes of answers, or requests; a Tree does not care. This is the
// one of answers to clients. Each class has a rate that it can count on and a
// ceiling up to which it may borrow what the others leave:
//
//	wan, all of --rate or --announce-rate
//	 +-- event     30 % .. 100 %   started, completed, stopped
//	 +-- regular   35 % .. 100 %   refreshes: the first to be shortened
//	 +-- scrape    10 % ..  50 %   charged per hash
//	 +-- bulk       5 % ..  30 %   full scrape, statistics
//	 +-- jail       2 % ..   5 %   clients that misbehave
//
// and the livesync sender has another one (LanClasses), or both are under one
// root (OneRoot). A class's tokens are a claim on its parent's, and nobody
// borrows what is claimed:
//
//	root's level  |#########|:::::::|#####|..........................|
//	               event     regular scrape  what may be borrowed now
//	               (idle)    (half)  (idle)
//
// So an idle class that comes back has its burst at once, and what it does not
// use beyond that flows to the others. Priority orders who borrows first, and
// nothing else. Whoever finds one token may go into debt by one request.
//
// # A request
//
//	HTTP                 UDP
//	  |                   |
//	  v                   v
//	Gate.Wait           Gate.Try
//	  |                   |
//	  +--- its shard's cell of the class has n? --- compare-and-swap: admitted
//	  | no                | no                      (no lock, no look-up)
//	  v                   v
//	 [lock] others of its class wait? ------------- UDP: refused
//	  | no                | no         | yes
//	  v                   v            |
//	 a lease from the tree for some    |
//	 40 answers: admitted              |
//	  | no tokens         | no tokens  |
//	  v                   v            v
//	 the class's queue    refused     the class's queue
//	  |
//	  v  Gate.Tick, each 10 ms:
//	     1. what is left in the cells returns to the tree, the borrowed first
//	     2. whoever waited too long goes
//	     3. heads with tokens of their own, then borrowers by priority
//	  |
//	  v
//	 Decide: the answer, a shorter one, a redirect, one without peers and with an
//	 interval from the Calendar, a failure: in this order
//	  |
//	  v
//	Gate.Charge          what the answer really had, less what was admitted
//	Writer.Ask           with a byte rate: when the connection may write it
//
// A UDP request never waits, and one that is refused is answered all the same:
// with less, and charged. What is in the cells was taken from the tree before,
// so that in every window no more is admitted than
//
//	rate x time + burst + leases in hand + one request
//
// A tick may be late on a busy machine. What came since the last one is then
// still there for those who wait, or who could not be seen, up to a Lateness of
// it (hold.go): it was theirs, and the machine alone kept it from them. Of the
// bytes that go out no two seconds have more than the rate and two bursts all the
// same (window.go).
//
// # The files
//
//	bucket.go    Bucket      exact lazy refill, debt of one request
//	share.go     Share       an epoch's bytes among connections: fair, ring, auto
//	hold.go                  what ticks that are late do not lose
//	writes.go    Writes      Share and its bucket for goroutines that write
//	window.go                no two seconds with more than the rate
//	reads.go     Reads       charged after the read
//	amount.go                rates and percentages as they are written
//	class.go     Class       the classes as they are configured, and judged
//	classify.go  Classifier  which class a request is of
//	tree.go      Tree        rates, ceilings, borrowing
//	queue.go     Queue       the requests of a class, fair among clients
//	shaper.go    Shaper      a tree with queues
//	lease.go     Leases      the fast path in front of a tree
//	gate.go      Gate        leases and queues: where the servers ask
//	ladder.go    Decide      what a request gets
//	calendar.go  Calendar    when a client is to come back
//	jail.go      Jail        who is served last, for a time
//	recorder.go  Recorder    what the line carries: seed 002's interface
//	heavy.go     Heavy       which big documents may start
//	debt.go      Debt        work whose speed is not ours
//	rates.go     Rates       counts of the last 60 seconds
//	uplink.go    Uplink      this node's share of what the cluster may send
//	health.go    Health      which other node is up
//
// # What is guarded by what
//
//	Leases.mu      the tree, the grants in the cells, and through a Gate the
//	               queues and the counts of what became of requests
//	Writes.mu      the bucket, the ring of connections and their grants
//	Reads.mu       the bucket
//	Recorder.mu    the samples and the hard limit
//	Jail.mu        the sentences, which are replaced as a whole
//	atomics        the tokens in the cells and pockets, the slots of the
//	               calendar, the bytes of the running second
//	the holder     Bucket, Share, Tree, Queue, Shaper, Heavy, Debt, Rates,
//	               Uplink, Health
//	nothing        Classifier, Decide, Shares: they do not change
//
// No lock is held while another is taken, nor while a caller's function runs,
// but for those of Divide, Drain and Expire, which only hand requests over.
package pacer
