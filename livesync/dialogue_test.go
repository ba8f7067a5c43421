package livesync

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"starling/livesync/livesynctest/dialogue"
	"starling/livesync/seal"
	"starling/wire"
)

// TestDialogues plays the conversations under testdata. Nodes are whole ones without their loops: time passes only where the text says so.
func TestDialogues(t *testing.T) {
	dialogue.Play(t, func(t *testing.T, happened *strings.Builder) func([]string) {
		return (&conversation{t: t, now: epoch, out: happened}).command
	})
}

// epoch is when dialogues begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// conversation is a segment without faults or delays, and the nodes on it.
type conversation struct {
	t     *testing.T
	now   time.Time
	actor []*actor
	out   *strings.Builder
	sent  []sentPacket
}

type sentPacket struct {
	at   time.Time
	name string
	pkt  []byte
}

type actor struct {
	name  string
	addr  netip.AddrPort
	cfg   Config
	model *Model
	node  *Node
	state string
	gone  bool
	deaf  string // the kind of packets that it does not hear
}

// command runs one line:
//
//	node NAME [id=HEX] [flush= interval= first-beacon= dialect= scrape-sync= fixed= key= plain= url=]   joins, as 10.0.0.N
//	restart NAME                              it is killed and starts anew, without what it had
//	replay ADDRESS NAME KIND N                the Nth packet of a kind that it sent leaves again, from there
//	forge ADDRESS NAME KIND N                 likewise, with another last byte
//	torrents NAME FIRST COUNT DOWNLOADED      are in its store, numbered
//	refuse NAME FIRST COUNT                   are refused by its access list
//	announce NAME TORRENT PEER WHAT           WHAT: leecher, seeder, completed, stopped
//	raw ADDRESS HEX                           a datagram from there, to all nodes
//	run DURATION                              time passes
//	kill NAME                                 it falls silent
//	deaf NAME [KIND]                          it hears no packets of a kind from now on, or everything again
//	end NAME                                  it says what is left to be said, and falls silent
//	show NAME                                 its status
func (d *conversation) command(f []string) {
	opts := map[string]string{}
	for _, o := range f[1:] {
		if k, v, ok := strings.Cut(o, "="); ok {
			opts[k] = v
		}
	}
	num := func(i int) int {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			d.t.Fatalf("%v: %v", f, err)
		}
		return n
	}
	switch f[0] {
	case "node":
		d.join(f[1], opts)
	case "torrents":
		d.find(f[1]).model.Fill(d.now, num(2), num(3), uint64(num(4)))
	case "refuse":
		first, n := num(2), num(3)
		d.find(f[1]).model.Refuse = func(h wire.InfoHash) bool {
			return bytes.Compare(h[:], hash(first)) >= 0 && bytes.Compare(h[:], hash(first+n)) < 0
		}
	case "announce":
		flags := map[string]wire.Flags{"leecher": 0, "seeder": wire.Seeding, "completed": wire.Seeding | wire.Complete, "stopped": wire.Stopped}
		d.find(f[1]).model.Announce(d.now, HashOf(num(2)), wire.PeerFrom(netip.MustParseAddrPort(f[3])), flags[f[4]])
		d.settle()
	case "raw":
		b, err := hex.DecodeString(f[2])
		if err != nil {
			d.t.Fatal(err)
		}
		d.deliver(netip.MustParseAddrPort(f[1]), b)
		d.settle()
	case "run":
		dur, err := time.ParseDuration(f[1])
		if err != nil {
			d.t.Fatal(err)
		}
		d.run(dur)
	case "kill":
		d.find(f[1]).gone = true
	case "deaf":
		d.find(f[1]).deaf = strings.Join(f[2:], "")
	case "end":
		d.end(d.find(f[1]))
	case "restart":
		d.find(f[1]).gone = true
		d.start(d.find(f[1]))
		d.settle()
	case "replay", "forge":
		b := d.recorded(f[2], f[3], num(4))
		if f[0] == "forge" {
			b[len(b)-1] ^= 1
		}
		d.deliver(netip.MustParseAddrPort(f[1]), b)
		d.settle()
	case "show":
		d.show(d.find(f[1]))
	default:
		d.t.Fatalf("unknown command %q", f[0])
	}
}

func hash(n int) []byte {
	h := HashOf(n)
	return h[:]
}

func (d *conversation) join(name string, opts map[string]string) {
	n := len(d.actor) + 1
	a := &actor{name: name, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 40000)}
	option := func(key, otherwise string) string {
		if v, ok := opts[key]; ok {
			return v
		}
		return otherwise
	}
	dur := func(key, otherwise string) time.Duration {
		v, err := time.ParseDuration(option(key, otherwise))
		if err != nil {
			d.t.Fatal(err)
		}
		return v
	}
	cfg := Config{
		ID:               wire.NodeID{0, 0, 0, byte(n)},
		FixedID:          option("fixed", "no") == "yes",
		Group:            wire.Group,
		Interface:        "eth0",
		Flush:            dur("flush", "250ms"),
		BeaconInterval:   dur("interval", "60s"),
		FirstBeaconDelay: dur("first-beacon", "30m"),
		InquireThreshold: 25,
		Seed:             &[32]byte{byte(n)},
		Log:              zerolog.New(&dialogueLog{d, name}).Level(zerolog.WarnLevel),
	}
	if id, ok := opts["id"]; ok {
		cfg.ID, _ = wire.ParseNodeID(id)
	}
	var err, err2 error
	cfg.Dialect, err = ParseDialect(option("dialect", "seed"))
	cfg.ScrapeSync, err2 = ParseScrapeSync(option("scrape-sync", "auto"))
	if err != nil || err2 != nil {
		d.t.Fatal(err, err2)
	}
	if words := option("key", ""); words != "" {
		cfg.Keys = testKeys(strings.Split(words, ",")...)
	}
	if plain := option("plain", ""); plain != "" {
		cfg.PlainNodes = prefixes(plain)
	}
	cfg.Member = func() Member { return Member{URL: option("url", ""), Version: "1"} }
	a.cfg = cfg
	d.start(a)
	d.actor = append(d.actor, a)
}

// start starts a node with an empty store.
func (d *conversation) start(a *actor) {
	cfg := a.cfg
	cfg.Epoch = uint64(d.now.UnixNano())
	a.model, a.gone = NewModel(), false
	a.model.Join(&cfg)
	a.node = New(cfg)
	a.model.OnChange = a.node.Offer
	a.node.start(d.now)
	a.node.joined(d.now, Link{Name: "eth0", Local: a.addr, Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, ReceiveBuffer: wantedBuffer})
	a.state = a.node.scrape.state(d.now)
}

// end ends a node.
func (d *conversation) end(a *actor) {
	a.node.End(d.now)
	for pkt := a.node.Next(d.now); pkt != nil; pkt = a.node.Next(d.now) {
		d.send(a, pkt)
	}
	a.gone = true
}

// recorded returns a packet that a node sent.
func (d *conversation) recorded(name, kind string, number int) []byte {
	for _, s := range d.sent {
		if p, err := wire.ParsePacket(s.pkt); err == nil && s.name == name && p.Kind.String() == kind {
			if number--; number == 0 {
				return bytes.Clone(s.pkt)
			}
		}
	}
	d.t.Fatalf("%s sent fewer packets of kind %s", name, kind)
	return nil
}

// testKeys returns a key for each word.
func testKeys(words ...string) seal.Keys {
	var keys seal.Keys
	for _, w := range words {
		var k seal.Key
		copy(k[:], w)
		keys = append(keys, k)
	}
	return keys
}

func (d *conversation) find(name string) *actor {
	for _, a := range d.actor {
		if a.name == name {
			return a
		}
	}
	d.t.Fatalf("there is no node %q", name)
	return nil
}

// run lets time pass, from deadline to deadline.
func (d *conversation) run(dur time.Duration) {
	end := d.now.Add(dur)
	for {
		d.settle()
		next := end
		for _, a := range d.actor {
			if due := a.node.due(d.now); !a.gone && !due.IsZero() && due.Before(next) {
				next = due
			}
		}
		if next = maxTime(next, d.now); !next.Before(end) {
			d.now = end
			d.settle()
			return
		}
		if next.Equal(d.now) {
			d.t.Fatalf("a node is due at %s again and again", d.clock())
		}
		d.now = next
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// settle sends everything that is to be sent now, and says what changed.
func (d *conversation) settle() {
	for again := true; again; {
		again = false
		for _, a := range d.actor {
			if a.gone {
				continue
			}
			for pkt := a.node.Next(d.now); pkt != nil; pkt = a.node.Next(d.now) {
				d.send(a, pkt)
				again = true
			}
			d.noteState(a)
		}
	}
}

func (d *conversation) send(a *actor, pkt []byte) {
	d.say(a.name, describePacket(pkt, d.names()))
	d.sent = append(d.sent, sentPacket{d.now, a.name, bytes.Clone(pkt)})
	d.deliver(a.addr, pkt)
}

func (d *conversation) deliver(from netip.AddrPort, pkt []byte) {
	p, _ := wire.ParsePacket(pkt)
	for _, a := range d.actor {
		if !a.gone && a.deaf != p.Kind.String() {
			a.node.receive(d.now, from, wire.Group.Addr(), pkt)
			d.noteState(a)
		}
	}
}

func (d *conversation) noteState(a *actor) {
	if s := a.node.scrape.state(d.now); s != a.state {
		d.say(a.name, fmt.Sprintf("is %s, was %s", s, a.state))
		a.state = s
	}
}

func (d *conversation) show(a *actor) {
	n := a.node
	d.say(a.name, fmt.Sprintf("serves %d torrents, applied %d records, learned %d entries", a.model.Count(), len(a.model.Applied), len(a.model.Learned)))
	d.say(a.name, fmt.Sprintf("sent %+v", n.sent))
	d.say(a.name, fmt.Sprintf("received %+v", n.received))
	d.say(a.name, fmt.Sprintf("dropped %+v", n.dropped))
	if st := n.status(d.now); st.Conflict+st.Withheld != "" {
		d.say(a.name, fmt.Sprintf("has conflict %q, withholds tells: %q", st.Conflict, st.Withheld))
	}
	for _, o := range n.status(d.now).Nodes {
		if o.Mode == "keyed" {
			d.say(a.name, fmt.Sprintf("believes %s at %s, epoch %s: %d packets, %d records, %d torrents, %s, %q, ended: %t, %+v",
				o.ID, o.Address, sinceEpoch(o.Epoch), o.Packets, o.Records, o.Torrents, o.Member.Health, o.Member.URL, o.Bye, o.Counts))
		}
	}
	for _, o := range n.nodes.sorted(d.now) {
		if o.life.epoch != 0 {
			continue
		}
		d.say(a.name, fmt.Sprintf("knows %s at %s: %d packets, %d records, %d torrents, dialect %q", o.id, o.address, o.packets, o.records, o.torrents, o.dialect()))
	}
}

func (d *conversation) names() map[wire.NodeID]string {
	names := map[wire.NodeID]string{}
	for _, a := range d.actor {
		names[a.node.ident.id] = a.name
	}
	return names
}

func (d *conversation) clock() string { return fmt.Sprintf("%9.3f", d.now.Sub(epoch).Seconds()) }

func (d *conversation) say(name, what string) {
	fmt.Fprintf(d.out, "%s %s %s\n", d.clock(), name, what)
}

// dialogueLog writes what a node logs into the dialogue.
type dialogueLog struct {
	d    *conversation
	name string
}

func (l *dialogueLog) Write(b []byte) (int, error) {
	l.d.say(l.name, "logs "+strings.TrimSpace(string(b)))
	return len(b), nil
}

// describePacket puts a packet into words.
func describePacket(pkt []byte, names map[wire.NodeID]string) string {
	p, err := wire.ParsePacket(pkt)
	if err != nil {
		return err.Error()
	}
	var items []string
	for i := range p.Len() {
		if p.Kind == wire.KindTell {
			e := p.Tell(i)
			items = append(items, fmt.Sprintf("#%d=%d", number(e.InfoHash), e.Downloaded))
		} else {
			r := p.Record(i)
			items = append(items, fmt.Sprintf("#%d %s %s", number(r.InfoHash), r.Peer, r.Flags))
		}
	}
	if len(items) > 4 {
		items = append(append(items[:2:2], "..."), items[len(items)-1])
	}
	switch p.Kind {
	case wire.KindState:
		return describeState(&p, names)
	case wire.KindNack, wire.KindGone, wire.KindPromise:
		return describeMending(&p, names)
	case wire.KindBye:
		bye, err := p.Bye()
		return fmt.Sprintf("> bye, next %d, %v", bye.Next, err)
	case wire.KindBeacon:
		return fmt.Sprintf("> beacon %d", p.Torrents)
	case wire.KindInquire:
		target, ok := names[p.Target]
		if !ok {
			target = p.Target.String()
		}
		return "> inquire " + target
	}
	sealed := ""
	if p.Keyed {
		sealed = fmt.Sprintf(" (%d of epoch %s)", p.Seq, sinceEpoch(p.Epoch))
	}
	return fmt.Sprintf("> %s%s, %d: %s", p.Kind, sealed, p.Len(), strings.Join(items, ", "))
}

// sinceEpoch returns when an epoch began, as dialogues write times.
func sinceEpoch(number uint64) string {
	return fmt.Sprintf("%.3f", time.Unix(0, int64(number)).Sub(epoch).Seconds())
}

func describeState(p *wire.Packet, names map[wire.NodeID]string) string {
	st, err := p.State(nil)
	if err != nil {
		return err.Error()
	}
	var echoes []string
	for _, e := range st.Echoes {
		echoes = append(echoes, cmp.Or(names[e.ID], e.ID.String()))
	}
	inquires := ""
	if st.Inquired != (wire.NodeID{}) {
		inquires = ", inquires " + cmp.Or(names[st.Inquired], st.Inquired.String())
	}
	return fmt.Sprintf("> state (%d of epoch %s), next %d, %d torrents%s, echoes: %s",
		p.Seq, sinceEpoch(p.Epoch), st.Next[wire.SpaceData], st.Torrents, inquires, strings.Join(echoes, " "))
}

// describeMending puts a packet about packets into words.
func describeMending(p *wire.Packet, names map[wire.NodeID]string) string {
	if n, err := p.Nack(nil); err == nil {
		return fmt.Sprintf("> nack to %s: %v", names[n.Target], n.Ranges)
	}
	if g, err := p.Gone(nil); err == nil {
		return fmt.Sprintf("> gone since %d ms: %v", g.Age, g.Ranges)
	}
	m, err := p.Promise(nil)
	return fmt.Sprintf("> promise for %s: %v, %v", names[m.Sender], m.Ranges, err)
}

// number is the inverse of HashOf.
func number(h wire.InfoHash) uint64 {
	var n uint64
	for _, b := range h[:8] {
		n = n<<8 | uint64(b)
	}
	return n
}
