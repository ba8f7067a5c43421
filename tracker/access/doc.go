// Package access says what a tracker serves: which torrents, which clients, and, in private mode, whose.
//
//	files  --Read--> Hashes, Prefixes, Keys ----+
//	                                            +--> Rules  <- atomic pointer <- every announce, record, tell and excerpt
//	edits (API, other nodes) -------------------+
//
// [Rules] is a picture of all lists at a time. It never changes, so that whoever asks takes no lock; [Lists] makes a new one whenever a
// file or an edit changes something, and hands it over. A tracker without lists has no rules, which costs it one comparison.
//
// # What holds
//
//	torrent   deny wins; with an allow list only what is in it is served
//	edit      goes before the files: an addition counts beside them, a removal takes out what stands in them
//	client    denied when an address or network of it is on the list
//	passkey   with a list of them: without a valid one nothing is served
//
// # Memory
//
// A file of ten million info hashes takes 217 MB, in two arrays without a pointer, so that the garbage collector does not look into them:
//
//	index   | first number of each prefix u32 ...   |   as many prefixes as a quarter of the hashes, or up to half
//	hashes  | 20 | 20 | 20 ...                      |   sorted
//
// A look-up reads two places. Hashes that share a long prefix, which somebody may have made on purpose, cost a binary search.
package access
