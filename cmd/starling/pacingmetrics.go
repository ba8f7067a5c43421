package main

import (
	"maps"
	"slices"
	"strings"

	"starling/tracker/pacer"
)

// pacing adds the figures of pacing.
func (e *exposition) pacing(s *pacingStatus) {
	e.gauge("rate_bytes_per_second", "Bytes of answers a second that are in force; 0: unlimited.").sample(float64(s.Rate))
	e.gauge("announce_rate_per_second", "Announces a second that this node was said to serve; 0: unlimited.").sample(float64(s.AnnounceRate))
	e.gauge("hard_limit_bytes_per_second", "The limit asked for at the admin address; 0: none.").sample(float64(s.Limit))
	e.gauge("bandwidth_bytes_per_second", "What the line was seen to carry while it was the limit, or the hard limit; 0: not known yet.").sample(float64(s.Bandwidth))
	e.gauge("connections_waiting", "Connections that wait for their share of the rate.").sample(float64(s.Waiting))
	if n := len(s.Seconds); n > 0 {
		e.gauge("requests_last_second", "Requests in the last whole second.").sample(float64(s.Seconds[n-1]))
	}
	e.counter("answers_total", "Answers while something is paced, by the step of the ladder, from whole ones on.")
	for _, step := range slices.Sorted(maps.Keys(s.Steps)) {
		e.sample(float64(s.Steps[step]), "step", step)
	}
	if c := s.Calendar; c != nil {
		e.gauge("calendar_booked", "Announces booked into the slot in which clients come back that ask now.")
		e.sample(float64(c.Booked))
		e.gauge("calendar_room", "Announces that this slot may have.")
		e.sample(float64(c.Room))
	}
	e.jail(s.Jail)
	if u := s.Uplink; u != nil {
		e.gauge("uplink_bytes_per_second", "Bytes a second that the cluster may send, and this node's share of them.")
		e.sample(float64(u.Total), "of", "cluster")
		e.sample(float64(u.Share), "of", "node")
		e.gauge("uplink_grows_seconds", "How long until this node's share may grow; 0: not while nothing changes.").sample(u.Grows)
		e.gauge("uplink_members", "Nodes that the uplink is divided among, this one included.")
		e.sample(float64(len(u.Members)))
	}
	e.siblings(s.Siblings)
	e.classes(s.Trees)
}

func (e *exposition) jail(j *jailStatus) {
	if j == nil {
		return
	}
	byOffence(e.gauge("jail_clients", "Clients that are in the class jail for a time, by why."), "reason", j.Held)
	byOffence(e.counter("jail_sentences_total", "How often a client was put there."), "reason", j.Sentenced)
	e.counter("jail_full_total", "How often one was not because too many were there.").sample(float64(j.Full))
}

// byOffence adds a sample for each offence there is, under a label.
func byOffence[N int | uint64](e *exposition, label string, counts map[string]N) {
	for _, o := range pacer.Offences() {
		e.sample(float64(counts[o.String()]), label, o.String())
	}
}

func (e *exposition) siblings(siblings []siblingStatus) {
	if len(siblings) == 0 {
		return
	}
	e.gauge("sibling_up", "1 while a sibling is healthy.")
	for _, b := range siblings {
		e.sample(number(b.Up), "sibling", b.URL)
	}
	e.gauge("sibling_room", "1 unless a sibling says that it has no tokens for the clients of others.")
	for _, b := range siblings {
		e.sample(number(b.Room), "sibling", b.URL)
	}
	e.counter("sibling_clients_total", "Clients for whom a sibling was chosen; how many were sent on is in answers.")
	for _, b := range siblings {
		e.sample(float64(b.Chosen), "sibling", b.URL)
	}
}

// classes adds the figures of all classes, those of trees whose tokens are bytes and those whose are requests under names of their own.
func (e *exposition) classes(trees []treeStatus) {
	for _, unit := range []string{"bytes", "requests"} {
		var same []treeStatus
		for _, t := range trees {
			if t.Unit == unit {
				same = append(same, t)
			}
		}
		if len(same) > 0 {
			e.classesIn(unit, same)
		}
	}
	if len(trees) > 0 {
		e.queues(trees)
	}
}

// classesIn adds those of the trees whose tokens are of a unit.
func (e *exposition) classesIn(unit string, trees []treeStatus) {
	for _, f := range []struct {
		name, suffix, help string
		value              func(c *classStatus) int64
	}{
		{"rate", "_per_second", "a second that a class can count on", func(c *classStatus) int64 { return c.Rate }},
		{"ceiling", "_per_second", "a second that a class has at most, with what others lend", func(c *classStatus) int64 { return c.Ceil }},
		{"actual", "_per_second", "that a class spent in the last whole second", func(c *classStatus) int64 { return c.Actual }},
		{"overrate", "_per_second", "in it beyond its rate", func(c *classStatus) int64 { return c.Overrate }},
		{"level", "", "that a class has in hand; below zero a debt", func(c *classStatus) int64 { return c.Level }},
		{"spent", "_total", "that a class and those below it spent", func(c *classStatus) int64 { return c.Spent }},
		{"borrowed", "_total", "of these that others lent it", func(c *classStatus) int64 { return c.Borrowed }},
		{"lent", "_total", "that a class lent to those below it", func(c *classStatus) int64 { return c.Lent }},
	} {
		kind := e.gauge
		if f.suffix == "_total" {
			kind = e.counter
		}
		kind("class_"+f.name+"_"+unit+f.suffix, strings.ToUpper(unit[:1])+unit[1:]+" "+f.help+".")
		e.eachClass(trees, func(c *classStatus) (float64, bool) { return float64(f.value(c)), true })
	}
}

// queues adds what became of the requests that had to wait.
func (e *exposition) queues(trees []treeStatus) {
	queue := func(value func(q *queueStatus) float64) {
		e.eachClass(trees, func(c *classStatus) (float64, bool) {
			if c.Queue == nil {
				return 0, false
			}
			return value(c.Queue), true
		})
	}
	e.gauge("queue_waiting", "Requests of a class that wait for tokens.")
	queue(func(q *queueStatus) float64 { return float64(q.Waiting) })
	e.gauge("queue_longest_wait_seconds", "The longest that a request waited and was served, since the start.")
	queue(func(q *queueStatus) float64 { return q.Longest })
	e.counter("queue_entered_total", "Requests that had to wait.")
	queue(func(q *queueStatus) float64 { return float64(q.Queued) })
	e.counter("queue_served_total", "Requests that waited and were served.")
	queue(func(q *queueStatus) float64 { return float64(q.Served) })
	e.counter("queue_expired_total", "Requests that waited up to their deadline in vain.")
	queue(func(q *queueStatus) float64 { return float64(q.Expired) })
	e.counter("queue_dropped_total", "Requests that a full queue gave up.")
	queue(func(q *queueStatus) float64 { return float64(q.Dropped) })
}

// eachClass adds a sample for each class that has a value.
func (e *exposition) eachClass(trees []treeStatus, value func(c *classStatus) (float64, bool)) {
	for _, t := range trees {
		for i := range t.Classes {
			if v, ok := value(&t.Classes[i]); ok {
				e.sample(v, "tree", t.Name, "class", t.Classes[i].Name)
			}
		}
	}
}
