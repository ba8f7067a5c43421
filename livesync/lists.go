package livesync

// lists are circular lists of the queue's slots, linked both ways. A slot is in one of them at most. Each list begins and ends
// at a head, which has a place of its own behind the slots.
type lists [none]struct{ next, prev uint16 }

// lineHead and classHead return the head of a list: those of the lines and those of the classes are in different lists.
func lineHead(line int) uint16 { return queueSize + uint16(line) }
func classHead(c class) uint16 { return queueSize + uint16(c) }

// clear makes the list of a head empty.
func (l *lists) clear(head uint16) { l[head].next, l[head].prev = head, head }

// append puts a slot at the end of the list of a head.
func (l *lists) append(head, i uint16) {
	last := l[head].prev
	l[i].next, l[i].prev = head, last
	l[last].next, l[head].prev = i, i
}

// remove takes a slot out of its list.
func (l *lists) remove(i uint16) {
	next, prev := l[i].next, l[i].prev
	l[next].prev, l[prev].next = prev, next
}

// first returns the first slot of the list of a head.
func (l *lists) first(head uint16) (i uint16, ok bool) {
	i = l[head].next
	return i, i != head
}
