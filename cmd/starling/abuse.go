package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"starling/livesync/edits"
	"starling/tracker/abuse"
	"starling/tracker/pacer"
	"starling/wire"
)

// abuseModes are the values of --abuse.
var abuseModes = []string{"auto", "jail", "watch", "off"}

// abuseWatch returns who looks at what clients do, nil: nobody. With auto they are jailed where a jail is a class of requests.
func (c *config) abuseWatch(now time.Time) *abuse.Watch {
	if c.abuse == "off" {
		return nil
	}
	return abuse.New(now, abuse.Usual(), pacer.NewJail(now), c.abuse == "jail" || c.abuse == "auto" && c.announceRate > 0)
}

// jailFor returns the jail that pacing shares with a watch, nil for one of its own: those who are only watched are in no class of their own.
func jailFor(w *abuse.Watch) *pacer.Jail {
	if w == nil || !w.Jails() {
		return nil
	}
	return w.Jail()
}

const (
	// jailInterval is how often it is looked who came into the jail.
	jailInterval = time.Second
	// maxShared is how many sentences of this node are kept for the others: one a second for a day, and some.
	maxShared = 1 << 17
	// shareBurst is how many sentences may be told at once; then one a second.
	shareBurst = 128
	// jailEvents is how many are named in the events at once.
	jailEvents = 8
)

// warden tells the operator and the other nodes who is in the jail. It is one goroutine's.
type warden struct {
	told   map[netip.Prefix]time.Time // until when, as the others were told
	named  map[netip.Prefix]bool      // in the events, for this stay
	tokens int                        // how many more may be told
}

// look takes who is in the jail now, and returns which of them the others are to be told of, and who is new there.
func (w *warden) look(now time.Time, held []pacer.HeldClient) (tell, fresh []pacer.HeldClient) {
	w.tokens = min(w.tokens+int(jailInterval/time.Second), shareBurst)
	in := make(map[netip.Prefix]bool, len(held))
	for _, h := range held {
		in[h.Client] = true
		if !w.named[h.Client] {
			w.named[h.Client] = true
			fresh = append(fresh, h)
		}
		if until, ok := w.told[h.Client]; !h.Told && w.tokens > 0 && (!ok || h.Until.Sub(until) > pacer.Sentence/2) {
			w.told[h.Client] = h.Until
			w.tokens--
			tell = append(tell, h)
		}
	}
	for p := range w.named {
		if !in[p] {
			delete(w.named, p)
			delete(w.told, p)
		}
	}
	return tell, fresh
}

// runAbuse looks who is in the jail until ctx ends.
func (n *node) runAbuse(ctx context.Context) error {
	ticker := time.NewTicker(jailInterval)
	defer ticker.Stop()
	w := warden{told: make(map[netip.Prefix]time.Time), named: make(map[netip.Prefix]bool), tokens: shareBurst}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			now := time.Now()
			tell, fresh := w.look(now, n.jail().All(now))
			if n.abusers.Jails() {
				n.tellJail(now, tell)
			}
			n.nameJailed(now, fresh)
		}
	}
}

// jailEntry returns a sentence as the other nodes are told of it.
func jailEntry(h pacer.HeldClient) edits.Entry {
	return edits.Entry{Kind: edits.Jail, Op: edits.Add, Key: edits.PrefixKey(h.Client), End: h.Until.Unix() + 1, Reason: h.Offence.String()}
}

// tellJail tells the other nodes of sentences. When there is no room for them, each finds out by itself.
func (n *node) tellJail(now time.Time, tell []pacer.HeldClient) {
	if !n.livesync.SharesEdits() {
		return
	}
	for _, h := range tell {
		if _, err := n.lists.machine.Edit(now, n.livesync.Status().ID, jailEntry(h)); err != nil {
			n.log.Debug().Err(err).Msg("the other nodes could not be told who is in the jail")
			return
		}
	}
}

// nameJailed adds to the events who is new in the jail.
func (n *node) nameJailed(now time.Time, fresh []pacer.HeldClient) {
	kept := "in the jail"
	if !n.abusers.Jails() {
		kept = "would be in the jail"
	}
	for i, h := range fresh {
		if i == jailEvents {
			n.events.add(now, eventJail, fmt.Sprintf("%d more clients are %s", len(fresh)-i, kept))
			return
		}
		n.events.add(now, eventJail, fmt.Sprintf("%s is %s for %s", h.Client, kept, offenceWords[h.Offence]))
	}
}

// heedJail takes in sentences of other nodes, and of this one before it was started anew. It returns the entries of other kinds.
func (l *lists) heedJail(now time.Time, es []edits.Entry) []edits.Entry {
	return slices.DeleteFunc(es, func(e edits.Entry) bool {
		if e.Kind != edits.Jail {
			return false
		}
		if l.jailed != nil && e.Op == edits.Add && !e.Ended(now) {
			l.jailed(now, &e)
		}
		return true
	})
}

// jailed puts a client into the jail because another node did; not one that no node should have.
func (n *node) jailed(now time.Time, e *edits.Entry) {
	p, ok := edits.Prefix(e.Key)
	if !ok || e.Node == (wire.NodeID{}) || p.Addr().IsLoopback() || p.Addr().IsPrivate() ||
		slices.ContainsFunc(n.cfg.trustedProxies, p.Overlaps) {
		return
	}
	client, ok := pacer.ClientIn(p)
	for _, o := range pacer.Offences() {
		if ok && o.String() == e.Reason {
			n.abusers.Jail().Told(now, client, o, time.Unix(e.End, 0))
		}
	}
}

// jail returns the jail in which clients are, or would be.
func (n *node) jail() *pacer.Jail { return n.abusers.Jail() }

// offenceWords are the offences as people read them.
var offenceWords = map[pacer.Offence]string{
	pacer.TooMany: "too many requests", pacer.TooEarly: "coming too early", pacer.OverBudget: "more requests than a town makes",
	pacer.Spraying: "torrents that nobody knows", pacer.Harvesting: "collecting peers",
}

// abuseStatus is what was found of clients that abuse this node, in the status.
type abuseStatus struct {
	Mode      string            `json:"mode"`  // jail, watch or off
	Clients   map[string]int    `json:"found"` // by what they did; in the jail unless they are only watched
	Sentences map[string]uint64 `json:"sentences"`
	Full      uint64            `json:"full"`     // beyond the 1024 that are kept
	Failed    uint64            `json:"wrong_id"` // connection ids that were never given to who used them
	Dampened  uint64            `json:"dampened"` // connection ids that were not given because of them
}

// abuseStatus takes the picture of this moment.
func (n *node) abuseStatus(now time.Time) abuseStatus {
	if n.abusers == nil {
		return abuseStatus{Mode: "off", Clients: map[string]int{}, Sentences: map[string]uint64{}}
	}
	jail, w := n.jail().Stats(now), n.abusers.Stats()
	s := abuseStatus{Mode: "watch", Clients: jail.Held, Sentences: jail.Sentenced, Full: jail.Full, Failed: w.Failed, Dampened: w.Dampened}
	if n.abusers.Jails() {
		s.Mode = "jail"
	}
	return s
}

// abuse adds what was found.
func (e *exposition) abuse(s *abuseStatus) {
	e.gauge("abuse_jails", "1 while clients that abuse this node come into the jail, 0 while they are only watched or nobody looks.").sample(number(s.Mode == "jail"))
	byOffence(e.gauge("abuse_clients", "Clients that were found to abuse this node, by how."), "offence", s.Clients)
	byOffence(e.counter("abuse_sentences_total", "How often a client was found to."), "offence", s.Sentences)
	e.counter("abuse_full_total", "How often one was not noted because too many were.").sample(float64(s.Full))
	e.counter("abuse_wrong_connection_ids_total", "Connection ids over UDP that were never given to who used them.").sample(float64(s.Failed))
	e.counter("abuse_dampened_connects_total", "Connection ids over UDP that were not given to an address from which too many wrong ones came.").sample(float64(s.Dampened))
}

// jailAnswer is what GET /api/v1/jail answers.
type jailAnswer struct {
	Mode    string       `json:"mode"`
	Clients []heldStatus `json:"clients"` // at most 1024, those that are held for longest first
}

// jailAnswer returns who is in the jail, so many at most.
func (n *node) jailAnswer(now time.Time, most int) jailAnswer {
	answer := jailAnswer{Mode: n.abuseStatus(now).Mode, Clients: []heldStatus{}}
	if n.abusers != nil {
		all := n.jail().All(now)
		for _, h := range all[:min(len(all), most)] {
			answer.Clients = append(answer.Clients, heldStatusOf(now, h))
		}
	}
	return answer
}

// serveJail answers who is in the jail.
func (n *node) serveJail(w http.ResponseWriter, _ *http.Request) {
	serveJSON(w, http.StatusOK, n.jailAnswer(time.Now(), math.MaxInt))
}

func heldStatusOf(now time.Time, h pacer.HeldClient) heldStatus {
	return heldStatus{Network: h.Client.String(), Reason: h.Offence.String(), Left: seconds(h.Until.Sub(now)), Told: h.Told}
}
