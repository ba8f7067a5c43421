package tracker

import (
	"net/netip"
	"time"

	"starling/tracker/access"
	"starling/wire"
)

// refusalOf is how the servers count a verdict.
var refusalOf = [access.Verdicts]refusal{
	access.DeniedTorrent:   refuseDenied,
	access.UnlistedTorrent: refuseUnlisted,
	access.DeniedClient:    refuseDeniedClient,
	access.NoKey:           refusePasskey,
	access.UnknownKey:      refusePasskey,
	access.RevokedKey:      refusePasskey,
	access.ExpiredKey:      refusePasskey,
	access.NoKeyInScrape:   refusePasskey,
}

// refuse writes a verdict to the body, as a failure reason, and counts it.
func (x *exchange) refuse(v access.Verdict) {
	x.tally.refuse(refusalOf[v])
	x.body = wire.AppendFailure(x.body, v.String())
}

// refusesClient reports whether the rules, which are there, refuse who asks, and refuses it then.
func (x *exchange) refusesClient(now time.Time, rules *access.Rules, client netip.Addr) bool {
	v := rules.Client(client)
	if v == access.Served {
		v = rules.Passkey(now, x.key)
	}
	if v == access.Served {
		return false
	}
	x.refuse(v)
	return true
}

// refusesHashes takes the torrents out that the rules, which are there, do not serve, and refuses a scrape that asks for no others.
func (x *exchange) refusesHashes(rules *access.Rules) bool {
	kept, last := x.hashes[:0], access.Served
	for i := range x.hashes {
		v := rules.Torrent(&x.hashes[i])
		if v == access.Served {
			kept = append(kept, x.hashes[i])
		} else {
			last = v
		}
	}
	x.hashes = kept
	if len(kept) > 0 || last == access.Served {
		return false
	}
	x.refuse(last)
	return true
}

// refuse appends the error that a verdict is and counts it. It is shorter than the request it answers.
func (w *udpWorker) refuse(dst []byte, transaction uint32, v access.Verdict) []byte {
	w.tally.refuse(refusalOf[v])
	return wire.AppendUDPError(dst, transaction, v.String())
}

// mostURLData is how much of the URL data of an announce is looked at for a passkey: it comes first.
const mostURLData = 128

// verdict says whether the rules, which are there, serve an announce of a client.
func (w *udpWorker) verdict(now time.Time, rules *access.Rules, q *wire.UDPAnnounce, client netip.Addr) access.Verdict {
	if v := rules.Client(client); v != access.Served {
		return v
	}
	if rules.Private() {
		var room [mostURLData]byte
		key, _ := access.PathKey(q.AppendURLData(room[:0]))
		if v := rules.Passkey(now, key); v != access.Served {
			return v
		}
	}
	return rules.Torrent(&q.InfoHash)
}

// scrapeVerdict says whether the rules, which are there, serve the scrapes of a client: BEP 15 leaves no place for a passkey in them.
func scrapeVerdict(rules *access.Rules, client netip.Addr) access.Verdict {
	if v := rules.Client(client); v != access.Served || !rules.Private() {
		return v
	}
	return access.NoKeyInScrape
}
