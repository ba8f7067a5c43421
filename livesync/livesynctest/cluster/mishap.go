package cluster

import (
	"time"

	"starling/wire"
)

// arrive puts a packet into the receive buffer, and has it read when the node has time.
func (m *member) arrive(d datagram) {
	if !m.up || !m.plugged {
		return
	}
	if m.slow == nil && len(m.inbox) == 0 {
		m.read(d)
		return
	}
	if m.slow != nil && len(m.inbox) >= m.slow.Buffer {
		m.stats.Overflowed++
		return
	}
	m.inbox = append(m.inbox, d)
	m.wait()
}

// wait has the node read the next packet of its receive buffer, if there is one and it is not waited for already.
func (m *member) wait() {
	if m.reading || len(m.inbox) == 0 || !m.works() {
		return
	}
	m.reading = true
	delay := time.Duration(0)
	if m.slow != nil {
		delay = m.slow.Delay
	}
	m.at(m.now+delay, func() {
		m.reading = false
		if len(m.inbox) == 0 || !m.works() {
			return
		}
		d := m.inbox[0]
		m.inbox = m.inbox[1:]
		m.read(d)
		m.wait()
	})
}

// read hands a packet to the node.
func (m *member) read(d datagram) {
	m.stats.Delivered++
	m.node.Receive(m.time(), d.from, group.Addr(), d.b)
	m.poke()
}

// crash ends a node without a word and has it start again later.
func (m *member) crash(e *Event) {
	if !m.up {
		return
	}
	m.model.lost(m, e)
	m.fall(e)
}

// leave ends a node as it should be.
func (m *member) leave(e *Event) {
	if !m.works() {
		return
	}
	if m.plugged {
		m.node.End(m.time())
		for pkt := m.node.Next(m.time()); pkt != nil; pkt = m.node.Next(m.time()) {
			m.sends(pkt)
		}
	}
	if e.State {
		m.write()
	}
	m.model.lost(m, e)
	m.fall(e)
}

// fall takes the node away and has another started later.
func (m *member) fall(e *Event) {
	m.count(m)
	m.up, m.slow, m.inbox = false, nil, nil
	m.wakes++
	m.fetching = nil
	if !e.State {
		m.epoch, m.snapshot, m.saved, m.kept = 0, nil, 0, nil
		if !m.Fixed {
			m.id = wire.NodeID{}
		}
	}
	m.at(e.end(), func() {
		m.clock += e.Step
		if m.snapshot == nil {
			m.step = 0
		} else if e.Step > 0 {
			m.step, m.stepped = m.step+e.Step, m.now
		}
		m.start()
	})
}

// hold makes a node stand still or be slow for a while.
func (m *member) hold(e *Event) {
	if !m.up || m.slow != nil {
		return
	}
	m.slow = e
	m.at(e.end(), func() {
		if m.slow == e {
			m.slow = nil
			m.wait()
			m.pump()
		}
	})
}

// unplug takes the interface down for a while.
func (m *member) unplug(e *Event) {
	if !m.up || !m.plugged {
		return
	}
	m.plugged = false
	m.inbox = nil
	if m.fetching != nil {
		m.fetching.over(errUnplugged)
	}
	m.node.Lost(errUnplugged)
	m.pump()
	life := m.lives
	m.at(e.end(), func() {
		if m.up && life == m.lives {
			m.plugged = true
			m.join()
		}
	})
}
