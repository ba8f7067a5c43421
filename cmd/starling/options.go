package main

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"starling/livesync"
	"starling/livesync/relay"
	"starling/tracker/pacer"
	"starling/wire"
)

// option is one setting of `starling serve`. The flag, its environment
// variable, the key of the configuration file, the entry in --help, the words
// of shell completion and the row of the README's table all come from it, so
// that none of them can know a setting the others do not.
type option struct {
	name    string             // of the flag and of the key
	value   string             // what a value looks like, as --help shows it
	list    bool               // may be given more than once; an array in the file
	number  bool               // may stand in the file as a bare number
	boolean bool               // on or off: the flag alone turns it on, the file has true or false
	def     string             // taken when nothing sets the option, as an operator would write it; may be empty
	defText string             // what happens without a value, where def cannot say it
	group   string             // the heading in --help
	usage   string             // one or two sentences, without the default
	choices []string           // every value there is, where they can be counted
	set     func(string) error // checks one value and stores it in the config
}

// The headings under which --help and the README list the options.
const (
	groupListen   = "Where it listens"
	groupClients  = "What clients are told"
	groupAccess   = "Who and what is served"
	groupPacing   = "Pacing: what this node may send and serve"
	groupLivesync = "Live sync: telling the other nodes"
	groupScrape   = "Scrape sync: downloaded counts for nodes that come later"
	groupNode     = "This node"
)

// options returns every setting of serve, bound to c.
func options(c *config) []option {
	return slices.Concat(listenOptions(c), clientOptions(c), accessOptions(c), pacingOptions(c), siblingOptions(c), livesyncOptions(c), scrapeSyncOptions(c), nodeOptions(c))
}

func listenOptions(c *config) []option {
	return []option{
		{name: "http", value: "ADDR", list: true, def: ":6969", group: groupListen,
			usage: "HTTP announce and scrape; `none` turns it off.", set: setListen(&c.http)},
		{name: "https", value: "ADDR", list: true, defText: "none", group: groupListen,
			usage: "The same over TLS, with --tls-cert and --tls-key.", set: setListen(&c.https)},
		{name: "tls-cert", value: "FILE", defText: "none", group: groupListen,
			usage: "Certificate for --https and those up to its authority, PEM. Read again when it changes and at SIGHUP; a bad one changes nothing.", set: setFile(&c.tlsCert)},
		{name: "tls-key", value: "FILE", defText: "none", group: groupListen,
			usage: "The certificate's private key, PEM.", set: setFile(&c.tlsKey)},
		{name: "max-connections", value: "N", number: true, def: "16384", group: groupListen,
			usage: "HTTP connections open at once, at most seven eighths of the files this process may open.", set: setNumber(&c.mostConnections, 1, 1<<20)},
		{name: "max-connections-per-client", value: "N", number: true, def: "256", group: groupListen,
			usage: "HTTP connections of one IPv4 address or IPv6 /56; those of this host and of trusted proxies are not bounded by it.", set: setNumber(&c.maxPerClient, 1, 1<<20)},
		{name: "udp", value: "ADDR", list: true, def: ":6969", group: groupListen,
			usage: "UDP announce and scrape (BEP 15); `none` turns it off.", set: setListen(&c.udp)},
		{name: "admin", value: "ADDR", def: "127.0.0.1:6970", group: groupListen,
			usage: "Status, metrics, health and profiles; `none` turns it off. One that other hosts reach serves no changes and no profiles without --admin-token-file.", set: setListen(&c.admin)},
		{name: "admin-token-file", value: "FILE", defText: "none, and only this host changes anything", group: groupListen,
			usage: "The token that every change at the admin address needs, alone in its file: 16 characters or more, such as `starling key` makes. Read again at SIGHUP.", set: setToken(c)},
		{name: "admin-host", value: "NAME", list: true, defText: "addresses and localhost", group: groupListen,
			usage: "A name under which the admin address is asked for.", set: setHostName(&c.adminHosts)},
		{name: "trusted-proxy", value: "CIDR", list: true, defText: "none", group: groupListen,
			usage: "Proxies whose X-Forwarded-For and ip= count.", set: setPrefix(&c.trustedProxies)},
		{name: "full-scrape", value: "CIDR", list: true, defText: "nobody", group: groupListen,
			usage: "Clients that may ask for a scrape of all torrents, /scrape without an info hash, and for opentracker's /stats.", set: setPrefix(&c.fullScrape)},
	}
}

func clientOptions(c *config) []option {
	return []option{
		{name: "interval", value: "D", def: "30m", group: groupClients,
			usage: "How long clients are asked to wait between announces; each answer varies it by a tenth.", set: setDuration(&c.interval, time.Second, day)},
		{name: "min-interval", value: "D", def: "15m", group: groupClients,
			usage: "The shortest wait clients are allowed. When only --interval is given and is shorter, this follows it.", set: setDuration(&c.minInterval, time.Second, day)},
		{name: "peer-timeout", value: "D", def: "45m", group: groupClients,
			usage: "When a silent peer is forgotten.", set: setDuration(&c.peerTimeout, time.Second, 7*day)},
		{name: "numwant", value: "N", number: true, def: "50", group: groupClients,
			usage: "Peers in an answer when the client does not say.", set: setNumber(&c.numWant, 1, maxPeers)},
		{name: "max-numwant", value: "N", number: true, def: "200", group: groupClients,
			usage: "Peers in an answer at most. When only this is given and is below --numwant, --numwant follows it.", set: setNumber(&c.maxNumWant, 1, maxPeers)},
	}
}

func accessOptions(c *config) []option {
	return []option{
		{name: "allow", value: "FILE", defText: "none, and every torrent is served", group: groupAccess,
			usage: "The only torrents that are served: a file of info hashes, 40 or 64 hexadecimal digits in a line. It is read again when it changes and on SIGHUP.", set: setText(&c.allow)},
		{name: "deny", value: "FILE", defText: "none", group: groupAccess,
			usage: "Torrents that are not served, also when --allow has them: a file as that one.", set: setText(&c.deny)},
		{name: "deny-client", value: "FILE", defText: "none", group: groupAccess,
			usage: "Clients that are not served: a file of addresses and networks such as 192.0.2.0/24, one in a line.", set: setText(&c.denyClient)},
		{name: "abuse", value: "auto, jail, watch or off", def: "auto", group: groupAccess, choices: abuseModes,
			usage: "Clients that do what no real client does: `jail` serves them last or not at all for a time, `watch` only tells, `auto` is jail with --announce-rate and watch without.", set: setChoice(&c.abuse, abuseModes)},
		{name: "passkeys", value: "FILE", defText: "none, and everybody is served", group: groupAccess,
			usage: "Private mode: only who announces to /PASSKEY/announce is served. A file with a passkey in each line, its last day if it has one, and whose it is.", set: setText(&c.passkeys)},
	}
}

func pacingOptions(c *config) []option {
	return []option{
		{name: "rate", value: "RATE", defText: "none, and nothing is paced", group: groupPacing,
			usage: "Bytes a second of answers, such as 10MB/s, from one token bucket for all connections.", set: setRate(&c.rate, pacer.Bytes)},
		{name: "rate-sharing", value: "fair, ring or auto", def: "auto", group: groupPacing, choices: sharings,
			usage: "How connections share the rate: `fair` gives each as much, `ring` gives whole packets in turns, `auto` is fair while a share is worth a packet.", set: setParsed(&c.sharing, pacer.ParseSharing)},
		{name: "announce-rate", value: "RATE", defText: "none", group: groupPacing,
			usage: "Announces a second that this node can serve, such as 2000/s: paces them and books when clients come back.", set: setRate(&c.announceRate, pacer.Requests)},
		{name: "uplink", value: "RATE", defText: "none", group: groupPacing,
			usage: "Bytes a second that all nodes may send together: this node takes its share of them, as nodes come and go.", set: setRate(&c.uplink, pacer.Bytes)},
		{name: "role", value: "active, standby or backup", def: "active", group: groupPacing, choices: roles,
			usage: "The part of this node: `standby` leaves the uplink to active nodes, `backup` to both.", set: setParsed(&c.role, pacer.ParseRole)},
		{name: "livesync-rate", value: "RATE", defText: "none", group: groupPacing,
			usage: "Bytes a second of livesync packets. Records that cannot leave wait, and the oldest are discarded when too many do.", set: setRate(&c.livesyncRate, pacer.Bytes)},
		{name: "one-root", boolean: true, defText: "off", group: groupPacing,
			usage: "Livesync packets count against --rate and --uplink too: a fifth is theirs, and either side lends what it does not use.", set: setSwitch(&c.oneRoot)},
	}
}

func siblingOptions(c *config) []option {
	return []option{
		{name: "sibling", value: "URL=HEALTHZ-URL", list: true, defText: "none", group: groupPacing,
			usage: "Another tracker: where its clients announce over HTTP, and the URL that answers 200 while it is up.", set: setSibling(&c.siblings)},
		{name: "sibling-health", value: "lazy, opportunistic or paranoid", def: "paranoid", group: groupPacing, choices: healthModes,
			usage: "Which siblings are probed: `lazy` those whose livesync packets ceased, `opportunistic` those not heard for a beacon interval, `paranoid` all. Only probes tell whether one has room.", set: setParsed(&c.siblingHealth, pacer.ParseHealthMode)},
		{name: "redirect", boolean: true, defText: "off", group: groupPacing,
			usage: "HTTP clients for whom there are no tokens are sent to a sibling that is up and has room, once.", set: setSwitch(&c.redirect)},
	}
}

func livesyncOptions(c *config) []option {
	return []option{
		{name: "livesync-interface", value: "NAME, IP, auto or none", def: "auto", group: groupLivesync, choices: []string{"auto", "none"},
			usage: "The interface on which the group is joined. `auto` takes the one with a private IPv4 address that has the default route, else the only one there is; without a clear choice live sync is off and a warning says which to name. One with a public address must be named.",
			set:   setText(&c.iface)},
		{name: "livesync-group", value: "ADDR", def: "224.0.42.5:9696", group: groupLivesync,
			usage: "Multicast group and port. Real opentrackers are on 224.0.23.5:9696.", set: setGroup(&c.group)},
		{name: "livesync-node", value: "CIDR or IP", list: true, defText: "the interface's own subnets", group: groupLivesync,
			usage: "Sources that are listened to.", set: setSource(&c.nodes)},
		{name: "livesync-node-plain", value: "CIDR or IP", list: true, defText: "nobody", group: groupLivesync,
			usage: "With a cluster key: sources that are believed although they have none, such as opentracker.", set: setSource(&c.plainNodes)},
		{name: "cluster-key-file", value: "FILE", defText: "none, and any packet is believed", group: groupLivesync,
			usage: "The key that all nodes have, which `starling key` makes: packets without its mark are not believed, and none is lost. Two lines while it is replaced, the one that signs first.", set: setKeys(c)},
		{name: "relay", value: "URL", defText: "none", group: groupLivesync,
			usage: "A NATS server that joins this segment with others: nats://HOST:4222 or tls://, with USER:PASSWORD@ or TOKEN@ before the host; several of one NATS cluster with commas between them. Needs --cluster-key-file, and every node has it.", set: setParsed(&c.relay, relay.ParseServers)},
		{name: "public-url", value: "URL", defText: "none", group: groupLivesync,
			usage: "Where clients announce to this node; told to the others, when there is a cluster key.", set: setURL(&c.publicURL)},
		{name: "livesync-flush", value: "D", def: "250ms", group: groupLivesync,
			usage: "The longest a record waits for its packet to fill. With --relay it is " + short(relayFlush) + " unless this is given.", set: setDuration(&c.flush, time.Millisecond, time.Minute)},
		{name: "livesync-renew", value: "D", def: "10m", group: groupLivesync,
			usage: "A peer that returns sooner is not told again; its first completion and its stop always are.", set: setDuration(&c.renew, time.Second, day)},
		{name: "livesync-dialect", value: "seed, modern or both", def: "seed", group: groupLivesync, choices: dialects,
			usage: "How IPv4 peers are written: `seed` as documented, `modern` for the newest opentrackers, `both` for a segment with both.", set: setParsed(&c.dialect, livesync.ParseDialect)},
	}
}

func scrapeSyncOptions(c *config) []option {
	return []option{
		{name: "scrape-sync", value: "auto, on or off", def: "auto", group: groupScrape, choices: scrapeSyncs,
			usage: "Whether counts are told; `auto` withholds them while an opentracker of 2010 is heard, which hangs on the first.", set: setParsed(&c.scrapeSync, livesync.ParseScrapeSync)},
		{name: "beacon-interval", value: "D", def: "60s", group: groupScrape,
			usage: "How often this node says how many torrents it has; an inquiry waits twice as long.", set: setDuration(&c.beaconInterval, 10*time.Millisecond, day)},
		{name: "first-beacon-delay", value: "D", def: "30m", group: groupScrape,
			usage: "How long a node that has just started says nothing.", set: setDuration(&c.firstBeaconDelay, 0, day)},
		{name: "inquire-threshold", value: "P", number: true, def: "25%", group: groupScrape,
			usage: "How many more torrents than ours a beacon must report before we ask for its counts.", set: setPercent(&c.inquireThreshold, 10000)},
	}
}

func nodeOptions(c *config) []option {
	return []option{
		{name: "state-dir", value: "DIR", defText: "none, and nothing is written", group: groupNode,
			usage: "Where the tracker id, the swarms and on-demand trackers are kept. Made when missing; its parent must exist.", set: setText(&c.stateDir)},
		{name: "user", value: "NAME", defText: "whoever starts it", group: groupNode,
			usage: "Started as root it binds its sockets and goes on as this user, who must be able to read all files that are named and to whom --state-dir belongs. Where the kernel has Landlock no other files can be opened.", set: setParsed(&c.user, findAccount)},
		{name: "snapshot-interval", value: "D", def: "5m", group: groupNode,
			usage: "How often the swarms are written to --state-dir; they are at the end, too.", set: setDuration(&c.snapshotInterval, time.Second, day)},
		{name: "memory-limit", value: "SIZE", defText: "none", group: groupNode,
			usage: "What this process may have in all, such as 512MiB: new torrents are refused before it is reached, and of large swarms a sample is kept.", set: setMemory(&c.memoryLimit)},
		{name: "tracker-id", value: "HEX8", defText: "random, kept in --state-dir", group: groupNode,
			usage: "The 4-byte id of this node, which no other node may have.", set: setParsed(&c.id, wire.ParseNodeID)},
		{name: "log-level", value: "LEVEL", def: "info", group: groupNode, choices: logLevels,
			usage: "Which messages are written: " + orList(logLevels) + ".", set: setParsed(&c.logLevel, parseLevel)},
		{name: "log-format", value: "FORMAT", def: "auto", group: groupNode, choices: logFormats,
			usage: "`console` for people, `json` for machines; `auto` is console on a terminal.", set: setChoice(&c.logFormat, logFormats)},
	}
}

// orList returns words as a sentence has them: a, b or c.
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// text returns the usage and whether the option may be repeated.
func (o *option) text() string {
	s := o.usage
	if o.list {
		s += " May be repeated."
	}
	return s
}

// defaultText returns the default as --help and the README show it.
func (o *option) defaultText() string {
	if o.defText != "" {
		return o.defText
	}
	return o.def
}

// recorder takes the values of one flag as they were written. They are checked
// later, together with those of the environment and the file.
type recorder struct {
	values  []string
	boolean bool
}

// Set implements flag.Value.
func (r *recorder) Set(s string) error { r.values = append(r.values, s); return nil }

// String implements flag.Value.
func (r *recorder) String() string { return strings.Join(r.values, ",") }

// IsBoolFlag lets the flag package take the flag without a value for true.
func (r *recorder) IsBoolFlag() bool { return r.boolean }

// optionFlag is an option as a flag of the command line library. It takes any
// value, as often as it is given, and records it.
type optionFlag struct {
	*cli.GenericFlag
	placeholder string
	choices     []string
	where       string // how a message names the place its values come from
}

// String returns the flag's entry in --help.
func (f *optionFlag) String() string {
	return helpEntry(strings.TrimSpace("--"+f.Name+" "+f.placeholder), f.Usage, f.DefaultText)
}

// TakesValue implements cli.DocGenerationFlag.
func (f *optionFlag) TakesValue() bool { return f.placeholder != "" }

// Names returns the one name. The library, which asks for it again and again, would take it apart with a regular expression each time.
func (f *optionFlag) Names() []string { return []string{f.Name} }

// flags returns the options as flags.
func flags(opts []option) []cli.Flag {
	fs := make([]cli.Flag, len(opts))
	for i := range opts {
		o := &opts[i]
		fs[i] = &optionFlag{
			GenericFlag: &cli.GenericFlag{
				Name:        o.name,
				Category:    o.group,
				Usage:       o.text(),
				DefaultText: o.defaultText(),
				Value:       &recorder{boolean: o.boolean},
			},
			placeholder: o.value,
			choices:     o.choices,
			where:       "--" + o.name,
		}
	}
	return fs
}

// fromFlags returns what the command line says, or the environment where
// the command line is silent: [environment.fill] has put it there.
func fromFlags(c *cli.Context) source {
	return func(o *option) (setting, bool) {
		f, ok := flagNamed(c.Command.Flags, o.name).(*optionFlag)
		if !ok || !c.IsSet(o.name) {
			return setting{}, false
		}
		return setting{f.where, splitList(o, f.Value.(*recorder).values)}, true
	}
}
