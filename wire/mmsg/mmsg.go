package mmsg

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the only one of the program that imports unsafe. The two system calls that move many datagrams at
// once have no wrapper in the standard library or golang.org/x/sys; that of golang.org/x/net allocates twice for every
// datagram it receives. Neither call keeps the pointers it is given. What the messages point to are typed pointers of Go, so the
// collector knows of them; only the array of messages itself passes as a number, in the very call, which keeps it where it is.

// mmsghdr is the system's struct of that name: a message, and how many bytes of it were moved.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// Go's scheduler is told of most system calls: so it can give the processor to somebody else meanwhile, and it wakes the thread that watches over long
// calls, which sleeps while nobody has anything to do. Where datagrams come one at a time that thread was woken for each, looked about and
// lay down again, for a quarter of all that an answer cost; and where they come in numbers it looks every 20 us for 2 ms each time. Neither call here ever waits, so
// the scheduler is not told. But it is told of some: the same thread takes the processor from whoever does not let go of it, and nothing else wakes it for that.
const (
	// quietReads is how many calls in a row may receive something before the scheduler is told.
	quietReads = 64
	// quietSends is how many datagrams may be sent without telling it. Meanwhile, some 60 us, the collector cannot stop the world.
	quietSends = 32
)

// recvmmsg receives datagrams into messages, those that are there and as many as there are messages, and returns how many.
func recvmmsg(fd uintptr, messages []mmsghdr, quiet bool) (int, syscall.Errno) {
	return call(unix.SYS_RECVMMSG, fd, messages, quiet)
}

// sendmmsg sends messages, until the first that would have to wait or is refused, and returns how many were sent. It fails when none was.
func sendmmsg(fd uintptr, messages []mmsghdr) (int, syscall.Errno) {
	return call(unix.SYS_SENDMMSG, fd, messages, len(messages) <= quietSends)
}

// call makes a system call that does not wait; quiet: without the scheduler.
func call(number, fd uintptr, messages []mmsghdr, quiet bool) (int, syscall.Errno) {
	if quiet {
		n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.Syscall6(number, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
