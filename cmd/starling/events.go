package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of the recent events, some 80 KiB with the longest texts.
const (
	maxEvents    = 256
	maxEventText = 240 // bytes
)

// eventKind is what happened, by the name it has in the JSON.
type eventKind string

// The kinds. Whoever adds one adds it to troubling, too, when an operator should look into it.
const (
	eventStarted   eventKind = "started"
	eventReady     eventKind = "ready"
	eventDraining  eventKind = "draining"
	eventJoined    eventKind = "node-joined"
	eventBack      eventKind = "node-back"
	eventLost      eventKind = "node-lost"
	eventEnded     eventKind = "node-ended" // it said BYE
	eventForgotten eventKind = "node-forgotten"
	eventCaughtUp  eventKind = "caught-up"
	eventInSync    eventKind = "in-sync"
	eventDiffers   eventKind = "not-in-sync"
	eventConflict  eventKind = "id-conflict"
	eventNewID     eventKind = "new-id"
	eventCutOff    eventKind = "cut-off" // from the group
	eventJoinedIt  eventKind = "group-joined"
	eventReload    eventKind = "reload"
	eventNoReload  eventKind = "reload-refused"
	eventLimit     eventKind = "limit"
	eventDirector  eventKind = "director"
	eventMemory    eventKind = "memory"
	eventRelay     eventKind = "relay"
	eventNoRelay   eventKind = "relay-lost"
	eventList      eventKind = "list" // was changed, or read again
	eventJail      eventKind = "jail" // who came into it
)

// troubling are the kinds that an operator should look into.
var troubling = []eventKind{eventLost, eventDiffers, eventConflict, eventCutOff, eventNoRelay, eventNoReload}

// event is something worth showing that happened. Several of one kind and text running are one.
type event struct {
	Seq      uint64    `json:"seq"`   // 1 for the first; without gaps
	Time     time.Time `json:"time"`  // of the latest of them
	Count    uint64    `json:"count"` // how many they are
	Kind     eventKind `json:"kind"`
	Troubles bool      `json:"trouble"`
	Text     string    `json:"text"`
}

// events are the latest ones. The zero value is empty; any goroutine may add to it.
type events struct {
	mu   sync.Mutex // guards what follows
	ring [maxEvents]event
	last uint64 // Seq of the latest
}

// add takes in an event, never blocks for longer than a copy and forgets the oldest. The text may hold what others sent: what is not
// printable ASCII is a question mark, since it comes to stand on terminals.
func (e *events) add(now time.Time, kind eventKind, text string) {
	text = eventText(text)
	e.mu.Lock()
	defer e.mu.Unlock()
	if latest := &e.ring[e.last%maxEvents]; e.last > 0 && latest.Kind == kind && latest.Text == text {
		latest.Time = now
		latest.Count++
		return
	}
	e.last++
	e.ring[e.last%maxEvents] = event{
		Seq: e.last, Time: now, Count: 1, Kind: kind, Troubles: slices.Contains(troubling, kind), Text: text,
	}
}

// mark returns a text that is another one after each event.
func (e *events) mark() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("%d.%d", e.last, e.ring[e.last%maxEvents].Count)
}

// recent returns the latest events, at most so many, the latest one first.
func (e *events) recent(most int) []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(uint64(most), e.last, maxEvents)
	list := make([]event, n) // an empty list, not null
	for i := range list {
		list[i] = e.ring[(e.last-uint64(i))%maxEvents]
	}
	return list
}

// eventText makes a text that may be shown anywhere.
func eventText(s string) string {
	b := []byte(s[:min(len(s), maxEventText)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// serveEvents answers with all events that are kept, the latest first.
func (n *node) serveEvents(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, struct {
		Events []event `json:"events"`
	}{n.events.recent(maxEvents)})
}
