package wire

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
)

// The answers of the HTTP port are bencoded (BEP 3) by appending: they are the
// hot path, and their few keys have one order. Every answer is canonical, its
// keys sorted as raw bytes and each there once.

// AnnounceReply is the answer to an announce over HTTP.
type AnnounceReply struct {
	Seeders     uint32     // key complete
	Leechers    uint32     // key incomplete, partial seeds among them
	Downloaded  uint64     // completions since the torrent is known
	Interval    uint32     // seconds until the client shall announce again
	MinInterval uint32     // seconds before which it must not
	ExternalIP  netip.Addr // the client's address as the tracker sees it (BEP 24); invalid: left out
	Peers4      []byte     // compact IPv4 peers, 6 bytes each (BEP 23)
	Peers6      []byte     // compact IPv6 peers, 18 bytes each (BEP 7)
	Compact     bool       // false: one list of dictionaries with the peers of both families
}

// Append appends the bencoded answer. The key peers is always there, peers6
// only when there are such peers and they are compact.
func (r *AnnounceReply) Append(b []byte) []byte {
	b = append(b, "d8:completei"...)
	b = strconv.AppendUint(b, uint64(r.Seeders), 10)
	b = append(b, "e10:downloadedi"...)
	b = strconv.AppendUint(b, r.Downloaded, 10)
	b = append(b, 'e')
	b = appendExternalIP(b, r.ExternalIP)
	b = append(b, "10:incompletei"...)
	b = strconv.AppendUint(b, uint64(r.Leechers), 10)
	b = append(b, "e8:intervali"...)
	b = strconv.AppendUint(b, uint64(r.Interval), 10)
	b = append(b, "e12:min intervali"...)
	b = strconv.AppendUint(b, uint64(r.MinInterval), 10)
	b = append(b, "e5:peers"...)
	if !r.Compact {
		b = append(b, 'l')
		b = appendPeerDicts(b, r.Peers4, Compact4)
		b = appendPeerDicts(b, r.Peers6, Compact6)
		return append(b, "ee"...)
	}
	b = appendBytes(b, r.Peers4)
	if len(r.Peers6) > 0 {
		b = append(b, "6:peers6"...)
		b = appendBytes(b, r.Peers6)
	}
	return append(b, 'e')
}

// appendExternalIP appends key and value of BEP 24: the address as raw bytes,
// 4 or 16, an IPv4-mapped one as 4.
func appendExternalIP(b []byte, ip netip.Addr) []byte {
	switch ip = ip.Unmap(); {
	case ip.Is4():
		a := ip.As4()
		b = append(b, "11:external ip4:"...)
		b = append(b, a[:]...)
	case ip.Is6():
		a := ip.As16()
		b = append(b, "11:external ip16:"...)
		b = append(b, a[:]...)
	}
	return b
}

// appendPeerDicts appends compact peers of the given size as dictionaries of ip
// and port, what a client that says compact=0 reads. Peer ids are not known.
func appendPeerDicts(b, peers []byte, size int) []byte {
	for ; len(peers) >= size; peers = peers[size:] {
		peer := PeerFrom4(peers)
		if size == Compact6 {
			peer = PeerFrom6(peers)
		}
		var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
		b = append(b, "d2:ip"...)
		b = appendBytes(b, peer.Addr().AppendTo(text[:0]))
		b = append(b, "4:porti"...)
		b = strconv.AppendUint(b, uint64(peer.Port()), 10)
		b = append(b, "ee"...)
	}
	return b
}

// appendBytes appends s as a bencoded string.
func appendBytes(b, s []byte) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

// AppendFailure appends the answer to a request that is refused, be it an
// announce or a scrape. A client shows the reason to its user.
func AppendFailure(b []byte, reason string) []byte {
	b = append(b, "d14:failure reason"...)
	b = strconv.AppendInt(b, int64(len(reason)), 10)
	b = append(b, ':')
	b = append(b, reason...)
	return append(b, 'e')
}

// AppendRetry appends the answer to a request that is refused for now. Few
// clients know retry in, minutes after which to ask again (BEP 31); libtorrent
// obeys the interval, in seconds as in [AnnounceReply].
func AppendRetry(b []byte, reason string, interval, minInterval, minutes uint32) []byte {
	b = append(b, "d14:failure reason"...)
	b = appendBytes(b, []byte(reason))
	b = append(b, "8:intervali"...)
	b = strconv.AppendUint(b, uint64(interval), 10)
	b = append(b, "e12:min intervali"...)
	b = strconv.AppendUint(b, uint64(minInterval), 10)
	b = append(b, "e8:retry ini"...)
	b = strconv.AppendUint(b, uint64(minutes), 10)
	return append(b, "ee"...)
}

// ScrapeFile is what a scrape says of one torrent (BEP 48, BEP 21).
type ScrapeFile struct {
	InfoHash    InfoHash
	Seeders     uint32 // key complete
	Leechers    uint32 // key incomplete: all that are not seeders
	Downloaders uint32 // Leechers less the partial seeds, which download nothing
	Downloaded  uint64 // completions since the torrent is known
}

// AppendScrape appends the answer to a scrape. It sorts files in place, since
// keys must be sorted, and of files of one info hash answers one only.
func AppendScrape(b []byte, files []ScrapeFile) []byte {
	slices.SortFunc(files, func(x, y ScrapeFile) int { return bytes.Compare(x.InfoHash[:], y.InfoHash[:]) })
	b = append(b, ScrapeBegin...)
	for i := range files {
		if i > 0 && files[i].InfoHash == files[i-1].InfoHash {
			continue
		}
		b = files[i].Append(b)
	}
	return append(b, ScrapeEnd...)
}

// The answer to a scrape is what [ScrapeFile.Append] appends, for each file in the order of the info hashes, between these two.
const (
	ScrapeBegin = "d5:filesd"
	ScrapeEnd   = "ee"
)

// Append appends the entry of one file.
func (f *ScrapeFile) Append(b []byte) []byte {
	b = append(b, "20:"...)
	b = append(b, f.InfoHash[:]...)
	b = append(b, "d8:completei"...)
	b = strconv.AppendUint(b, uint64(f.Seeders), 10)
	b = append(b, "e10:downloadedi"...)
	b = strconv.AppendUint(b, f.Downloaded, 10)
	b = append(b, "e11:downloadersi"...)
	b = strconv.AppendUint(b, uint64(f.Downloaders), 10)
	b = append(b, "e10:incompletei"...)
	b = strconv.AppendUint(b, uint64(f.Leechers), 10)
	return append(b, "ee"...)
}
