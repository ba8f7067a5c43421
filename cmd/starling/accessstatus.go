package main

import (
	"fmt"

	"starling/livesync/edits"
	"starling/tracker"
)

// accessStatus is what is served to whom, in the status.
type accessStatus struct {
	Private bool         `json:"private"` // nobody is served without a passkey
	Shared  bool         `json:"shared"`  // changes through the API reach the other nodes
	Kept    bool         `json:"kept"`    // they outlast a restart
	Lists   []listStatus `json:"lists"`

	// What the store did not take in, beside what the servers refuse.
	Store  tracker.AccessCounts `json:"-"`
	Faults uint64               `json:"refused_files"` // that were wrong when they were read again
	Unkept uint64               `json:"unkept_changes"`
	Edits  edits.Counts         `json:"-"`
}

// listStatus is one list.
type listStatus struct {
	List    string `json:"list"`
	File    string `json:"file,omitempty"`
	Entries int    `json:"file_entries"`
	Changes int    `json:"changes"` // through the API, of all nodes
}

// accessStatus takes the picture of this moment.
func (n *node) accessStatus() accessStatus {
	l := n.lists
	s := accessStatus{
		Private: n.tracker.Access().Private(), Shared: n.livesync.SharesEdits(), Store: n.tracker.AccessCounts(), Edits: l.machine.Counts(),
	}
	for _, kind := range []edits.Kind{edits.Deny, edits.Allow, edits.Client, edits.Passkey} {
		x := listStatus{List: listNames[kind], Changes: l.machine.Len(kind)}
		if f, ok := l.fileOf(x.List); ok {
			x.File, x.Entries = f.path, f.entries
		}
		s.Lists = append(s.Lists, x)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Kept, s.Faults, s.Unkept = l.kept != nil, l.faults, l.unkept
	return s
}

// text returns the lists in a line for people, empty when there are none.
func (s *accessStatus) text() string {
	line := ""
	for _, x := range s.Lists {
		if x.File == "" && x.Changes == 0 {
			continue
		}
		if line != "" {
			line += ", "
		}
		line += fmt.Sprintf("%s %s", x.List, count(uint64(x.Entries)))
		if x.Changes > 0 {
			line += fmt.Sprintf(" and %s", counted(x.Changes, "change"))
		}
	}
	return line
}

// access adds the lists and what became of them.
func (e *exposition) access(s *accessStatus) {
	e.gauge("private", "1 while nobody is served without a passkey.").sample(number(s.Private))
	e.gauge("list_changes_shared", "1 while changes of lists reach the other nodes.").sample(number(s.Shared))
	e.gauge("list_changes_kept", "1 while changes of lists outlast a restart.").sample(number(s.Kept))
	e.gauge("list_file_entries", "Entries of the file of a list.")
	for _, x := range s.Lists {
		e.sample(float64(x.Entries), "list", x.List)
	}
	e.gauge("list_changes", "Entries of a list that came through the API of any node, removals included.")
	for _, x := range s.Lists {
		e.sample(float64(x.Changes), "list", x.List)
	}
	e.counter("list_files_refused_total", "Files of lists that were wrong when they were read again, and changed nothing.").sample(float64(s.Faults))
	e.counter("list_changes_unkept_total", "Changes of lists that could not be written to the disk.").sample(float64(s.Unkept))
	c := &s.Edits
	e.counter("list_edits_total", "Changes of lists, by what became of them.")
	e.sample(float64(c.Made), "outcome", "made").sample(float64(c.Heard), "outcome", "heard").sample(float64(c.Stale), "outcome", "stale")
	e.sample(float64(c.Full), "outcome", "full").sample(float64(c.Future), "outcome", "future").sample(float64(c.Invalid), "outcome", "invalid")
	e.sample(float64(c.Unknown), "outcome", "unknown").sample(float64(c.Ended), "outcome", "ended")
	e.counter("list_fetches_total", "How often another node was asked for changes of lists.").sample(float64(c.Fetches))
	e.counter("list_fetches_failed_total", "How often that came to nothing.").sample(float64(c.Failed))
	e.counter("forbidden_total", "What the store did not take in because its torrent is forbidden, beside what servers refuse.")
	e.sample(float64(s.Store.Announces), "what", "announce").sample(float64(s.Store.Records), "what", "record")
	e.sample(float64(s.Store.Tells), "what", "tell").sample(float64(s.Store.Restored), "what", "excerpt")
	e.counter("purged_torrents_total", "Torrents forgotten because they became forbidden.").sample(float64(s.Store.Purged))
}
