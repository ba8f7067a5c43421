package fullscrape

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// breathe is how long is worked at a time: so much longer an announce may wait.
const breathe = 100 * time.Microsecond

// breath lets others have the processor: the scheduler would leave it to whoever computes for 10 ms at a time, and a client
// whose announce comes meanwhile should not wait for that.
//
// To sleep would do, but no shorter than a millisecond when nothing else is there to do. [runtime.Gosched] would not: while anything
// can run, the scheduler does not look at the network. So it waits for an event of the network as announces do, its own, which is
// there already and behind all that came before: with nobody else about that takes some microseconds.
type breath struct {
	began time.Time // this piece of work; zero: there was none
	bell  *os.File  // an eventfd; nil: there is none
	raw   syscall.RawConn
}

// newBreath returns one that is closed after the work.
func newBreath() *breath {
	b := new(breath)
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return b // it sleeps
	}
	b.bell = os.NewFile(uintptr(fd), "breath")
	b.raw, _ = b.bell.SyscallConn() // an error comes again
	return b
}

func (b *breath) close() { b.bell.Close() } // of none it is an error

// take pauses when it is time. It is called after each piece of work, which should take no longer than breathe.
func (b *breath) take() {
	now := time.Now()
	if b.began.IsZero() {
		b.began = now
	}
	if now.Sub(b.began) < breathe {
		return
	}
	if !b.ring() {
		time.Sleep(breathe)
	}
	runtime.Gosched() // who was woken with it goes first
	b.began = time.Now()
}

// ring waits for an event that it makes itself, and reports whether it could.
func (b *breath) ring() (rung bool) {
	if b.bell == nil {
		return false
	}
	err := b.raw.Read(func(fd uintptr) bool {
		if rung {
			return true
		}
		_, err := unix.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0})
		rung = err == nil // else there is nothing to wait for
		return !rung
	})
	return rung && err == nil
}

// breathingReader reads with pauses.
type breathingReader struct {
	from  io.Reader
	pause *breath
}

func (r breathingReader) Read(b []byte) (int, error) {
	r.pause.take()
	return r.from.Read(b)
}
