package pacer

// The two algorithms of seed 000 exactly as it states them, with its names and
// its order of steps, its faults included. They are what share_test.go holds
// the repaired ones against.

// seedConn is a connection of the seed's model: what waits to be written on it,
// and how much TCP takes in one epoch.
type seedConn struct {
	writeData   int64
	writeBucket int64
	takes       int64
}

// write is the seed's write: it takes no more than there is, than is allowed,
// and than TCP does.
func (c *seedConn) write(n int64) int64 {
	w := min(n, c.writeData, c.takes)
	c.writeData -= w
	return w
}

// seedAlgorithm1 is "Algorithm 1", its half for writing. Times are in
// milliseconds so that the sums are whole.
type seedAlgorithm1 struct {
	bwRate            int64
	epoch             int64 // ms
	minWriteBytes     int64
	globalWriteBucket int64
	secondCounter     int64 // ms

	// zeroed adds the line that the seed forgot, and nothing else.
	zeroed bool
}

// every is "Every Epoch Seconds". It returns what was written.
func (a *seedAlgorithm1) every(conns []*seedConn) (written int64) {
	useMinWriteBytes := a.minWriteBytes
	var writeCnt int64
	for _, c := range conns {
		if c.writeData > 0 {
			writeCnt++
		}
	}
	bytesToWrite := (a.bwRate*a.epoch/1000 + a.globalWriteBucket) / writeCnt
	if a.zeroed {
		a.globalWriteBucket = 0
	}
	if a.bwRate/writeCnt < a.minWriteBytes {
		useMinWriteBytes = 1
	}
	for _, c := range conns {
		if c.writeData == 0 {
			continue
		}
		c.writeBucket += bytesToWrite
		if c.writeBucket > useMinWriteBytes {
			w := c.write(min(c.writeData, c.writeBucket))
			written += w
			a.globalWriteBucket += c.writeBucket - w
			c.writeBucket = 0
		}
	}
	a.secondCounter += a.epoch
	if a.secondCounter >= 1000 {
		a.secondCounter = 0
		a.globalWriteBucket = 0
		for _, c := range conns {
			c.writeBucket = 0
		}
	}
	return written
}

// seedPlan2 is the "Alternate plan for Writing fairly".
type seedPlan2 struct {
	bwRate            int64
	writeBytes        int64
	secondCounter     int64 // ms
	globalWriteBucket int64
	writeConnList     []*seedConn
	writeConnHead     int
}

// epoch is MAX(MIN(WriteBytes/BwRate, .333s), .050s), in milliseconds.
func (p *seedPlan2) epoch() int64 { return max(min(1000*p.writeBytes/p.bwRate, 333), 50) }

// every is "Every Epoch Seconds". It returns what was written.
func (p *seedPlan2) every() (written int64) {
	p.globalWriteBucket += p.bwRate * p.epoch() / 1000
	writeListEnd := p.writeConnHead
	for {
		c := p.writeConnList[p.writeConnHead]
		w := c.write(p.writeBytes)
		written += w
		p.globalWriteBucket -= w
		p.writeConnHead++
		if p.globalWriteBucket <= 0 || p.writeConnHead == writeListEnd {
			break
		}
	}
	p.secondCounter += p.epoch()
	if p.secondCounter >= 1000 {
		p.secondCounter = 0
		p.globalWriteBucket = 0
	}
	return written
}
