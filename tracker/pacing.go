package tracker

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"starling/tracker/pacer"
)

// PacingConfig says what the announce servers may spend. At least one of the
// rates is above zero, or nothing is paced until SetRate is called.
type PacingConfig struct {
	// Rate is bytes a second of answers over HTTP and UDP together, and as many of requests over HTTP. 0: unlimited.
	Rate int64
	// Sharing is how the connections share the rate.
	Sharing pacer.Sharing
	// AnnounceRate is announces a second; a scrape counts as one for each torrent. 0: unlimited.
	AnnounceRate int64
	// Interval is the usual one of the trackers whose clients are booked, for the figures alone. 0: DefaultInterval.
	Interval time.Duration
	// Classes divide both rates. None: pacer.WanClasses. Where both rates are given, parts of them are the only amounts that make sense.
	Classes []pacer.Class
	// OneRoot puts what livesync sends under the same rate of bytes: see Sync.
	OneRoot bool
	// Redirect finds a sibling node with room for a request that finds none here. It appends the whole
	// address to dst, with path and query in it; false: there is none, or the query says that it was sent on once already. It must not
	// block. Nil: nobody is sent on.
	Redirect func(now time.Time, dst, path, query []byte) (location []byte, ok bool)
	// Jail is where those go who take too much; others may put clients there, too. Nil: one of its own.
	Jail *pacer.Jail
	// Shared is told, for the log, when the connections begin to share the rate in another way. Nil: nobody is told.
	Shared func(pacer.Sharing)
}

// Pacing is what the announce servers ask before they answer. All of them share one.
type Pacing struct {
	cfg      PacingConfig
	recorder *pacer.Recorder
	classes  atomic.Pointer[kinds]
	requests *requestSide // nil: without an announce rate
	bytes    atomic.Pointer[byteSide]
	shards   int
	key      hashKey // spreads clients over the slots of the calendar
	counts   [pacingCounts]pacingCount
	less     atomic.Int64 // when a request got less than everything last, Unix time in nanoseconds

	mu      sync.Mutex // guards what follows, and is held while a rate or the classes change
	rate    int64      // of bytes
	seconds pacer.Rates
	seen    uint64 // requests that are in seconds already
}

// kinds are the parts of the configuration that requests look at.
type kinds struct {
	classifier *pacer.Classifier
	waits      []time.Duration // by the number of the class
	jail       int             // number of the class of that name, -1: there is none
}

// requestSide paces requests.
type requestSide struct {
	gate     *pacer.Gate
	calendar *pacer.Calendar
	jail     *pacer.Jail
}

// byteSide paces bytes.
type byteSide struct {
	gate   *pacer.Gate
	sync   map[string]int // numbers of the classes of livesync, by name; with OneRoot
	writes *pacer.Writes
	reads  *pacer.Reads

	observed int64 // of what was written, that the recorder knows; guarded by Pacing.mu
}

const (
	// queueLimit is how many requests of a class may wait. More than that many
	// are not served in time at rates where waiting helps.
	queueLimit = 4096
	// writeQuantum is what a write of its own is worth: about one packet.
	writeQuantum = 1400
	// observation is over how many busy seconds the recorder averages.
	observation = 60
	// jailClass is the name of the class for clients that misbehave.
	jailClass = "jail"
)

// NewPacing returns pacing that paces as soon as Run runs. A wrong tree of classes is an error that has its numbers.
func NewPacing(cfg PacingConfig, now time.Time) (*Pacing, error) {
	if cfg.Rate < 0 || cfg.AnnounceRate < 0 {
		return nil, fmt.Errorf("a rate of %d a second: it must be above zero", min(cfg.Rate, cfg.AnnounceRate))
	}
	if cfg.AnnounceRate > maxAnnounceRate {
		return nil, fmt.Errorf("%d announces a second: no more than %d can be counted", cfg.AnnounceRate, maxAnnounceRate)
	}
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	if len(cfg.Classes) == 0 {
		cfg.Classes = pacer.WanClasses()
	}
	var seed [32]byte
	crand.Read(seed[:])
	p := &Pacing{
		cfg: cfg, recorder: pacer.NewRecorder(observation, now),
		shards: 4 * runtime.GOMAXPROCS(0), key: newHashKey(rand.NewChaCha8(seed)),
	}
	c, err := newKinds(cfg, now)
	if err != nil {
		return nil, err
	}
	p.classes.Store(c)
	if cfg.AnnounceRate > 0 {
		tree, err := pacer.NewTree("requests", pacer.Times(cfg.AnnounceRate, perRequest), 0, requestClasses(cfg.Classes), now)
		if err != nil {
			return nil, err
		}
		p.requests = &requestSide{
			gate: pacer.NewGate(tree, p.shards, queueLimit), calendar: pacer.NewCalendar(cfg.AnnounceRate, now), jail: cmp.Or(cfg.Jail, pacer.NewJail(now)),
		}
	}
	return p, p.SetRate(now, cfg.Rate)
}

// perRequest is how many tokens a request has, so that a small part of a few requests a second is still some.
const perRequest = 1000

// maxAnnounceRate is far beyond any machine, and its tokens can be counted.
const maxAnnounceRate = 1 << 50

// requestClasses returns the classes with their requests in tokens.
func requestClasses(list []pacer.Class) []pacer.Class {
	list = slices.Clone(list)
	for i := range list {
		c := &list[i]
		c.Rate, c.Ceil, c.Burst = c.Rate.Times(perRequest), c.Ceil.Times(perRequest), pacer.Times(c.Burst, perRequest)
	}
	return list
}

// newKinds judges classes and finds what requests need to know of them. Without a rate they are judged as parts of any.
func newKinds(cfg PacingConfig, now time.Time) (*kinds, error) {
	list := cfg.Classes
	tree, err := pacer.NewTree("classes", cmp.Or(cfg.AnnounceRate, cfg.Rate, anyRate), 0, list, now)
	if err != nil && cfg.AnnounceRate > 0 {
		// The numbers of the first error are those of the file; a rate may be a part of a request.
		var small error
		if tree, small = pacer.NewTree("requests", pacer.Times(cfg.AnnounceRate, perRequest), 0, requestClasses(list), now); small == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	c := &kinds{jail: -1}
	if c.classifier, err = pacer.NewClassifier(tree); err != nil {
		return nil, err
	}
	for i, name := range tree.Classes() {
		if name == jailClass {
			c.jail = i
		}
		for _, class := range list {
			if class.Name == name {
				c.waits = append(c.waits, class.Wait)
			}
		}
	}
	return c, nil
}

// anyRate judges classes where no rate is set.
const anyRate = 1 << 40

// Recorder returns what observes the bytes of all answers.
func (p *Pacing) Recorder() *pacer.Recorder { return p.recorder }

// Document charges the class of documents for bytes of one that left at a path, by whatever way: what the line carries they
// are part of.
func (p *Pacing) Document(path string, bytes int) {
	p.recorder.RecordBytes(uint64(bytes))
	if side := p.bytes.Load(); side != nil {
		class := p.classes.Load().classifier.Classify(&pacer.Request{Kind: pacer.Bulk, Path: []byte(path)})
		side.gate.Charge(0, class, int64(bytes))
	}
}

// SetRate changes the rate of bytes; 0: unlimited. Amounts in the classes that no longer fit shrink in proportion.
func (p *Pacing) SetRate(now time.Time, bytesPerSecond int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytesPerSecond < 0 {
		return fmt.Errorf("a rate of %d a second: it must be above zero", bytesPerSecond)
	}
	if bytesPerSecond == p.rate {
		return nil
	}
	side := p.bytes.Load()
	switch {
	case bytesPerSecond == 0:
		p.bytes.Store(nil)
		side.close()
		p.observeLocked(side)
	case side == nil:
		tree, err := pacer.NewTree("bytes", bytesPerSecond, 0, p.byteClasses(p.cfg.Classes), now)
		if err != nil {
			return err
		}
		p.bytes.Store(&byteSide{
			sync:   syncClasses(tree),
			gate:   pacer.NewGate(tree, p.shards, queueLimit),
			writes: pacer.NewWrites(p.cfg.Sharing, bytesPerSecond, writeQuantum, now),
			reads:  pacer.NewReads(bytesPerSecond, now),
		})
	default:
		if err := side.gate.Resize(now, bytesPerSecond); err != nil {
			return err
		}
		side.writes.SetRate(now, bytesPerSecond)
		side.reads.SetRate(now, bytesPerSecond)
	}
	p.rate = bytesPerSecond
	return nil
}

// byteClasses returns the classes that bytes are divided among.
func (p *Pacing) byteClasses(answers []pacer.Class) []pacer.Class {
	if p.cfg.OneRoot {
		return pacer.OneRoot(answers)
	}
	return answers
}

// syncClasses returns the numbers that the classes of livesync have in a tree, by their names.
func syncClasses(tree *pacer.Tree) map[string]int {
	numbers := make(map[string]int)
	for i, name := range tree.Classes() {
		numbers[name] = i
	}
	return numbers
}

// Sync asks for the bytes of a packet of livesync, which are under the same root as the answers: 0 lets it go, else it
// says after how long to ask again. The classes are those of pacer.LanClasses. Answers over UDP cannot be refused and
// may leave the root in debt for as long as they flood it; what is assured to livesync leaves all the same.
func (p *Pacing) Sync(now time.Time, class string, bytes int) (wait time.Duration) {
	b := p.bytes.Load()
	if b == nil {
		return 0
	}
	n, size := b.sync[class], int64(bytes)
	if b.gate.Try(now, 0, n, size) || b.gate.TryOwn(now, n, size) {
		return 0
	}
	return syncAgain
}

// syncAgain is after how long a packet of livesync asks again. Where the others are idle their claims are most of the
// burst, and what is left of it comes together within this.
const syncAgain = pacer.Epoch / 5

// SetClasses changes rates, ceilings, waits, schedulers and matches of the classes while requests wait in their queues. They must be the
// same ones in the same order. An error changes nothing.
func (p *Pacing) SetClasses(now time.Time, list []pacer.Class) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cfg := p.cfg
	cfg.Classes, cfg.Rate = list, p.rate
	c, err := newKinds(cfg, now)
	if err != nil {
		return err
	}
	if p.requests != nil {
		if err := p.requests.gate.Tune(now, requestClasses(list)); err != nil {
			return err
		}
	}
	if b := p.bytes.Load(); b != nil {
		if err := b.gate.Tune(now, p.byteClasses(list)); err != nil {
			if p.requests != nil {
				err = cmp.Or(p.requests.gate.Tune(now, requestClasses(p.cfg.Classes)), err)
			}
			return err
		}
	}
	p.cfg.Classes = list
	p.classes.Store(c)
	return nil
}

// Run divides the rates until ctx ends. Then all that waits goes on at once, so that the servers end.
func (p *Pacing) Run(ctx context.Context) error {
	ticker := time.NewTicker(pacer.Epoch)
	defer ticker.Stop()
	defer p.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.tick(time.Now()) // not the time at which it was due
		}
	}
}

// tick begins a new epoch.
func (p *Pacing) tick(now time.Time) {
	if p.requests != nil {
		p.requests.gate.Tick(now)
	}
	b := p.bytes.Load()
	if b != nil {
		b.gate.Tick(now)
		if present, changed := b.writes.Tick(now, b.gate.Waiting()); changed && p.cfg.Shared != nil {
			p.cfg.Shared(present)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b != nil {
		p.observeLocked(b)
	}
	p.recorder.Roll(now)
	all := p.answered()
	p.seconds.Add(now, int64(all-p.seen))
	p.seen = all
}

// observeLocked tells the recorder what was written since the last time: once for all connections, and not for each write.
func (p *Pacing) observeLocked(b *byteSide) {
	if written := b.writes.Written(); written > b.observed {
		p.recorder.RecordShard(0, uint64(written-b.observed))
		b.observed = written
	}
}

func (p *Pacing) close() {
	if p.requests != nil {
		p.requests.gate.Close()
	}
	if b := p.bytes.Load(); b != nil {
		b.close()
	}
}

func (b *byteSide) close() {
	b.gate.Close()
	b.writes.Close()
}
