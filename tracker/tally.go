package tracker

import "sync/atomic"

// ServerCounts is what an announce server has done since it was made.
type ServerCounts struct {
	Connects  uint64            // connect requests answered over UDP, connections accepted over HTTP
	Announces uint64            // carried out and answered
	Scrapes   uint64            // answered, however many torrents were asked for
	Refused   map[string]uint64 // by reason; every reason the server has is in it
	Latency   Latency           // of the announces
}

// A refusal is why a server did not do what a client asked for, or did not hear it out.
type refusal uint8

// The refusals of both servers; each has its own among them.
const (
	refuseParameter    refusal = iota // announce or scrape with a bad parameter; the client was told
	refuseMalformed                   // HTTP: 400, 413, 431, 505
	refuseMethod                      // HTTP: 405
	refusePath                        // HTTP: 404
	refuseConnections                 // HTTP: too many connections are open
	refuseClient                      // HTTP: too many of them are this client's
	refuseTimeout                     // HTTP: no whole head in time, or the answer was not taken in time
	refuseHandshake                   // HTTP: TLS that failed, took too long, or was one too many under way in all
	refuseHandshakes                  // HTTP: one TLS handshake of the client too many under way
	refuseAccept                      // HTTP: the system had no connection to give
	refuseShort                       // UDP: no whole header
	refuseLong                        // UDP: longer than any request
	refuseProtocol                    // UDP: connect request of no BEP 15 client
	refuseConnectionID                // UDP: connection id wrong or too old
	refuseAction                      // UDP: unknown action; the client was told
	refuseReceive                     // UDP: the system failed to hand over a packet
	refuseSend                        // UDP: the system did not take the answer
	refuseDenied                      // the torrent is on the deny list; the client was told, as of the next three
	refuseUnlisted                    // the torrent is not on the allow list
	refuseDeniedClient                // the client is on the list of denied ones
	refusePasskey                     // no passkey, or none that is good
	refuseJail                        // the client is in the jail, and there is no class for it; over HTTP it was told
	refuseConnect                     // UDP: no connection id for an address with too many wrong ones
	refusals
)

var refusalNames = [refusals]string{
	"parameter", "malformed", "method", "path", "connections", "client_connections", "timeout", "tls_handshake", "client_tls_handshakes", "accept",
	"short", "long", "protocol", "connection_id", "action", "receive", "send",
	"denied", "unlisted", "denied_client", "passkey", "jail", "connect",
}

// A tally is counted by one goroutine, or by the few that share it, and read by
// any. A server has as many as it needs for no two busy cores to write to one cache line.
type tally struct {
	connects, announces, scrapes atomic.Uint64
	refused                      [refusals]atomic.Uint64
	latency                      latency
	_                            [128]byte // the next tally is on other lines, also where the processor fetches two
}

func (t *tally) refuse(r refusal) { t.refused[r].Add(1) }

// add adds a tally to the counts, of the refusals those from first to last.
func (c *ServerCounts) add(t *tally, reasons []refusal) {
	c.Connects += t.connects.Load()
	c.Announces += t.announces.Load()
	c.Scrapes += t.scrapes.Load()
	c.Latency.add(&t.latency)
	for _, r := range reasons {
		c.Refused[refusalNames[r]] += t.refused[r].Load()
	}
}
