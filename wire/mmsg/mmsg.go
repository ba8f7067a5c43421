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

// recvmmsg receives datagrams into messages, those that are there and as many as there are messages, and returns how many.
func recvmmsg(fd uintptr, messages []mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendmmsg sends messages, until the first that would have to wait or is refused, and returns how many were sent. It fails when none was.
func sendmmsg(fd uintptr, messages []mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
