// Package stream makes the system calls that a loop over TCP connections lives on, none of which waits, without telling Go's scheduler of each:
// where an answer costs a few microseconds, that is a tenth of it.
//
//	Caller   Accept    the next connection, and where it comes from
//	         Receive   what has come of one
//	         Send      as much as the system takes
//	         Close
//	         Ready     what an epoll descriptor has to tell
//
// # Why the scheduler is not told
//
// It is told of most system calls, so that it can give the processor to somebody else meanwhile, and then it wakes the thread that watches over
// long calls, which sleeps while nobody has anything to do. Where requests come a few at a time that thread was woken for each batch of them, and
// looked every 20 us for a millisecond: a fifth of all that connections of one request each cost, and a thirteenth of what kept ones do.
//
// But the same thread takes the processor from whoever does not let go of it, and nothing else wakes it for that. So who makes the calls tells the
// scheduler now and then, by [Caller.Ready], and lets go of the processor by itself.
// The collector cannot stop the world during a call it knows nothing of; the longest, the end of a connection, takes some 5 us.
package stream

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file imports unsafe, for the buffers of the calls: the wrappers of golang.org/x/sys tell the scheduler, and that of accept4 asks the system
// for the protocol of each socket besides. No call keeps the pointers it is given, and each passes as a number in the very call, which keeps what it points to where
// it is.

// Caller makes the calls of one goroutine. The descriptors do not block. An error of 0 is none.
type Caller struct {
	name     [unix.SizeofSockaddrInet6]byte // of who was accepted: family u16 | port u16 | IPv4: address 4 | IPv6: flow 4, address 16, zone u32
	nameSize uint32
}

// Accept accepts a connection, which does not block and is closed on exec, and returns its descriptor and the address of its other end, in its own family.
func (c *Caller) Accept(listener int) (fd int, from netip.Addr, errno syscall.Errno) {
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	c.nameSize = uint32(len(c.name))
	r, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&c.name[0])), uintptr(unsafe.Pointer(&c.nameSize)), flags, 0, 0)
	if errno != 0 {
		return -1, netip.Addr{}, errno
	}
	return int(r), c.from(), 0
}

// from returns the address in name.
func (c *Caller) from() netip.Addr {
	b := c.name[:]
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8]))
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	return netip.Addr{}
}

// Receive reads what there is into b, which is not empty. No bytes and no error are the end of what the client sends.
func (c *Caller) Receive(fd int, b []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// Send writes as much of b, which is not empty, as there is room for. more says that it may wait for what is to come, the end of the connection if nothing else, to leave
// in one packet with it.
func (c *Caller) Send(fd int, b []byte, more bool) (n int, errno syscall.Errno) {
	flags := uintptr(unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
	return int(r), errno
}

// Close closes a descriptor. What was sent on it still leaves.
func (c *Caller) Close(fd int) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// Ready puts the events that an epoll descriptor has now into events, which is not empty, and returns how many. tell says that the scheduler is to be told.
func (c *Caller) Ready(epoll int, events []unix.EpollEvent, tell bool) (n int, errno syscall.Errno) {
	if tell {
		n, err := unix.EpollWait(epoll, events, 0)
		errno, _ = err.(syscall.Errno)
		return n, errno
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(r), errno
}
