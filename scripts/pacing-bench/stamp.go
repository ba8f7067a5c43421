package main

import (
	"encoding/binary"
	"io"
	"net"
	"syscall"
	"time"
)

// stamped reads from a TCP connection and says when the system had what it reads. On the loopback interface that is when it was sent,
// however late this process is on a busy machine.
type stamped struct {
	raw     syscall.RawConn
	control [64]byte
}

func newStamped(conn net.Conn) (*stamped, error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	}); err != nil {
		return nil, err
	}
	return &stamped{raw: raw}, failed
}

// read reads once. Where the system gives no time it is now.
func (s *stamped) read(b []byte) (n int, at time.Time, err error) {
	var controls int
	if waited := s.raw.Read(func(fd uintptr) bool {
		n, controls, _, _, err = syscall.Recvmsg(int(fd), b, s.control[:], 0)
		return err != syscall.EAGAIN
	}); waited != nil {
		return 0, at, waited
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return max(n, 0), stampOf(s.control[:controls]), err
}

// stampOf reads the time from a control message: a header of 16 bytes with its level and type, seconds and nanoseconds (socket(7)).
func stampOf(control []byte) time.Time {
	const size = syscall.SizeofCmsghdr
	if len(control) < size+16 || binary.NativeEndian.Uint32(control[size-4:]) != syscall.SCM_TIMESTAMPNS {
		return time.Now()
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(control[size:])), int64(binary.NativeEndian.Uint64(control[size+8:])))
}
