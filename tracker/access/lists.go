package access

import (
	"maps"
	"net/netip"
	"sync"

	"github.com/gaissmai/bart"

	"starling/wire"
)

// Lists makes the rules of what files and edits say. Its methods may be called from any number of goroutines; each that changes something returns the
// rules that hold from then on, nil when there are none, in the order of the changes only to those who wait for each other.
type Lists struct {
	mu          sync.Mutex // guards the rest
	rules       Rules
	clients     *Prefixes // of the file
	clientEdits map[netip.Prefix]Op
}

// Prefixes are the networks of a file. They do not change; the nil set is empty.
type Prefixes struct{ table bart.Lite }

// NewPrefixes makes a set of networks, doubles and all.
func NewPrefixes(all ...netip.Prefix) *Prefixes {
	s := new(Prefixes)
	for _, p := range all {
		s.table.Insert(p)
	}
	return s
}

// Len returns how many there are.
func (s *Prefixes) Len() int {
	if s == nil {
		return 0
	}
	return s.table.Size()
}

// has reports whether a network is one of them.
func (s *Prefixes) has(p netip.Prefix) bool { return s != nil && s.table.Get(p) }

// Files is what the files say. A field that is nil is a list that is not there.
type Files struct {
	Allow, Deny *Hashes
	Clients     *Prefixes
	Keys        *Keys
}

// Edits is what is said beside the files, of each key the latest.
type Edits struct {
	Allow, Deny map[wire.InfoHash]Op
	Clients     map[netip.Prefix]Op
	Keys        map[Digest]KeyEdit
}

// SetFiles takes what the files say from now on.
func (l *Lists) SetFiles(f Files) *Rules {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules.allow, l.rules.only, l.rules.deny, l.rules.keys = f.Allow, f.Allow != nil, f.Deny, f.Keys
	l.clients = f.Clients
	table := new(bart.Lite)
	if f.Clients != nil {
		table = &f.Clients.table
	}
	if len(l.clientEdits) > 0 {
		table = table.Clone()
	}
	for p, op := range l.clientEdits {
		if op == Added {
			table.Insert(p)
		} else {
			table.Delete(p)
		}
	}
	l.rules.clients = table
	return l.published()
}

// Edit takes what edits say from now on.
func (l *Lists) Edit(e Edits) *Rules {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules.allowEdits = l.rules.allowEdits.with(e.Allow)
	l.rules.denyEdits = l.rules.denyEdits.with(e.Deny)
	l.rules.keyEdits = l.rules.keyEdits.with(e.Keys)
	l.editClients(e.Clients)
	return l.published()
}

// editClients makes another table of clients. The caller holds l.mu.
func (l *Lists) editClients(changes map[netip.Prefix]Op) {
	if l.clientEdits == nil {
		l.clientEdits = make(map[netip.Prefix]Op)
	}
	maps.Copy(l.clientEdits, changes)
	table := l.rules.clients
	if table == nil {
		table = new(bart.Lite)
	}
	for p, op := range changes {
		if op == Added || op == None && l.clients.has(p) {
			table = table.InsertPersist(p)
		} else {
			table = table.DeletePersist(p)
		}
		if op == None {
			delete(l.clientEdits, p)
		}
	}
	l.rules.clients = table
}

// published returns the rules as they are now, nil when they say nothing. The caller holds l.mu.
func (l *Lists) published() *Rules {
	r := l.rules
	if r.clients != nil && r.clients.Size() == 0 {
		r.clients = nil
	}
	if !r.only && r.deny.Len() == 0 && r.clients == nil && r.keys == nil && r.denyEdits.empty() {
		return nil
	}
	return &r
}

// DenyFile reports whether a hash stands in the file, whatever edits say.
func (l *Lists) DenyFile(h *wire.InfoHash) bool { return l.locked().deny.Has(h) }

// AllowFile is as DenyFile.
func (l *Lists) AllowFile(h *wire.InfoHash) bool { return l.locked().allow.Has(h) }

// ClientFile is as DenyFile.
func (l *Lists) ClientFile(p netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clients.has(p)
}

// KeyFile is as DenyFile.
func (l *Lists) KeyFile(d Digest) bool {
	r := l.locked()
	if r.keys == nil {
		return false
	}
	_, ok := r.keys.all[d]
	return ok
}

// locked returns the rules as they are.
func (l *Lists) locked() Rules {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rules
}
