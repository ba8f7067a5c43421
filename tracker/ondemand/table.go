package ondemand

import (
	"maps"
	"slices"
	"strings"

	"starling/tracker"
)

// table is all that a request or a listing looks at. It is made anew for each change and never written to.
type table struct {
	byName map[string]*instance
	byHost map[string]*routes
}

// routes are the trackers of one host.
type routes struct {
	any    *tracker.Tracker // for the ports no other tracker has; nil: they are the server's own
	byPort map[uint16]*tracker.Tracker
}

// newTable returns the table of some instances, no two of which are called alike or have the same host and port.
func newTable(all map[string]*instance) *table {
	t := &table{byName: all, byHost: make(map[string]*routes)}
	for _, in := range all {
		h := t.byHost[in.Hostname]
		if h == nil {
			h = &routes{byPort: make(map[uint16]*tracker.Tracker)}
			t.byHost[in.Hostname] = h
		}
		if in.Port == 0 {
			h.any = in.Tracker
		} else {
			h.byPort[in.Port] = in.Tracker
		}
	}
	return t
}

// with returns a copy of the instances in which one is added or replaced.
func (t *table) with(in *instance) map[string]*instance {
	all := maps.Clone(t.byName)
	all[in.Name] = in
	return all
}

// without returns a copy of the instances in which one is missing.
func (t *table) without(name string) map[string]*instance {
	all := maps.Clone(t.byName)
	delete(all, name)
	return all
}

// sorted returns the instances by name.
func (t *table) sorted() []*instance {
	return slices.SortedFunc(maps.Values(t.byName), func(a, b *instance) int { return strings.Compare(a.Name, b.Name) })
}

// route returns the tracker that a Host header is meant for, nil for none of these. It does not
// allocate, unless the host is an IPv6 address.
func (t *table) route(header []byte) *tracker.Tracker {
	if len(t.byHost) == 0 {
		return nil
	}
	var buffer [maxHost + 1]byte
	host, port, ok := parseHost(buffer[:0], header)
	if !ok {
		return nil
	}
	h := t.byHost[string(host)]
	if h == nil {
		return nil
	}
	if special, ok := h.byPort[port]; ok {
		return special
	}
	return h.any
}
