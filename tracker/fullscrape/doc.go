// Package fullscrape answers a scrape of all torrents.
//
//	Tracker.Count --> rows, by the first bits of the info hash --> sorted, bencoded, packed with zstd --> the copy
//
//	asked for           is made of the copy while it is sent
//	zstd                its own bytes
//	plain               unpacked
//	gzip                unpacked, and packed again at the fastest level
//	txt, bin, url       unpacked and read: opentracker's /stats?mode=tpbs
//
// The copy is a [document.Document]: made when somebody asks and it is older than [Fresh], once for all who ask, who
// follow it as its bytes come. The entries are sorted by info hash, as BEP 3 demands of a dictionary; a torrent is in it
// once if it was there all the while.
//
// # What grows with what
//
//	per torrent         24 bytes or so in rows, then about as many in the copy: a hash cannot be packed. Rows are given up as they are packed
//	per request         some 300 KiB for unpacking, and 300 more for gzip
//	while one is made   4 MiB for rows that begin, and the copy that is served meanwhile
//
// Rows and copy are borrowed of the store's budget, if it has one. When swarms need it there is no copy, and who asks is told.
//
// An announce waits for none of it: the walk holds one shard's lock for some 50 microseconds, and making and sending give up the
// processor every 100 microseconds (see breath), or a machine of one core would let announces wait for them.
package fullscrape
