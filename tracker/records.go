package tracker

// take returns the number of a record that is free, if need be in a new chunk.
func (t *torrents) take() (id uint32) {
	if !t.room() {
		t.grow()
	}
	i := t.open[len(t.open)-1]
	c := &t.chunks[i]
	c.used++
	if id = c.free; id != 0 {
		c.free = t.record(id).next
		return id
	}
	t.records[i] = stretch(t.records[i], len(t.records) == 1, uint32(c.made), recordsChunk)
	c.made++
	return i*recordsChunk + uint32(c.made)
}

// room reports whether there is a free record without a new chunk. It is in the last chunk of those that are open.
func (t *torrents) room() bool {
	for last := len(t.open) - 1; last >= 0; last-- {
		c := &t.chunks[t.open[last]]
		if !c.leaving && c.used < recordsChunk && t.records[t.open[last]] != nil {
			return true
		}
		c.open = false
		t.open = t.open[:last]
	}
	return false
}

// grow adds a chunk.
func (t *torrents) grow() {
	i := uint32(len(t.records))
	if last := len(t.vacant) - 1; last >= 0 {
		i, t.vacant = t.vacant[last], t.vacant[:last]
	} else {
		t.records = append(t.records, nil)
		t.chunks = append(t.chunks, recordChunk{})
	}
	t.chunks[i] = recordChunk{open: true}
	t.records[i] = stretch[torrent](nil, len(t.records) == 1, 0, recordsChunk)
	t.open = append(t.open, i)
}

// put frees a record, which is in no chain any more.
func (t *torrents) put(id uint32) {
	i := (id - 1) / recordsChunk
	c := &t.chunks[i]
	*t.record(id) = torrent{next: c.free}
	c.free = id
	c.used--
	switch {
	case !c.leaving:
		t.reopen(i)
	case c.used == 0:
		t.vacate(i)
	}
}

// reopen puts a chunk among those that have room.
func (t *torrents) reopen(i uint32) {
	if c := &t.chunks[i]; !c.open {
		c.open = true
		t.open = append(t.open, i)
	}
}

// vacate gives a chunk without torrents back. If it is listed as open it stays so, and is passed over unless it comes back.
func (t *torrents) vacate(i uint32) {
	t.records[i] = nil
	t.chunks[i] = recordChunk{open: t.chunks[i].open}
	t.vacant = append(t.vacant, i)
	t.mem.give(recordsHeld)
}

// held returns how many chunks of records there are.
func (t *torrents) held() int64 { return int64(len(t.records) - len(t.vacant)) }

// leavers chooses which chunks are to be emptied.
func (t *torrents) leavers() leavers {
	c := census{size: recordsChunk}
	for i := range t.chunks {
		if t.records[i] != nil {
			c.count(uint64(t.chunks[i].used))
		}
	}
	return c.leavers()
}

// settle gives chunk i back if it is empty, and else says whether it is to be emptied.
func (t *torrents) settle(i uint32, l *leavers) {
	c := &t.chunks[i]
	if t.records[i] == nil {
		return
	}
	c.leaving = l.has(uint64(c.used))
	switch {
	case c.used == 0:
		t.vacate(i)
	case !c.leaving && c.used < recordsChunk:
		t.reopen(i)
	}
}

// relocate moves a torrent's record out of a chunk that is being emptied.
func (t *torrents) relocate(id uint32) {
	if !t.chunks[(id-1)/recordsChunk].leaving || !t.room() {
		return
	}
	r := t.record(id)
	link := t.head(linear(t.key.infoHash(&r.hash), t.count))
	for *link != id {
		link = &t.record(*link).next
	}
	to := t.take()
	*t.record(to) = *r
	*link = to
	t.put(id)
}

// shorten forgets the numbers of vacant chunks behind the last one there is.
func (t *torrents) shorten() {
	n := len(t.records)
	for n > 0 && t.records[n-1] == nil {
		n--
	}
	if n == len(t.records) {
		return
	}
	t.records, t.chunks = clipped(t.records[:n]), clipped(t.chunks[:n])
	t.vacant, t.open = under(t.vacant, n), under(t.open, n)
}
