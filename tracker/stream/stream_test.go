package stream

import (
	"bytes"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen returns the descriptor of a listening socket that does not block, in an epoll of its own, and where it listens.
func listen(t *testing.T, network, addr string) (listener, epoll int, where string) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Skip(err)
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { listener, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(listener); ln.Close() })
	if epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(epoll) })
	watch(t, epoll, listener)
	return listener, epoll, ln.Addr().String()
}

func watch(t *testing.T, epoll, fd int) {
	t.Helper()
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(fd)}); err != nil {
		t.Fatal(err)
	}
}

// await waits for an event of a descriptor.
func await(t *testing.T, c *Caller, epoll, fd int, tell bool) {
	t.Helper()
	var events [4]unix.EpollEvent
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if _, err := unix.EpollWait(epoll, events[:], 100); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		n, errno := c.Ready(epoll, events[:], tell)
		if errno != 0 {
			t.Fatal(errno)
		}
		for _, e := range events[:n] {
			if int(e.Fd) == fd {
				return
			}
		}
	}
	t.Fatal("no event")
}

// TestConversation: a client is accepted, heard, answered and hung up on, over either family, whether the scheduler is told or not.
func TestConversation(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		c := new(Caller)
		listener, epoll, where := listen(t, "tcp", addr)
		for _, tell := range []bool{false, true} {
			client, err := net.Dial("tcp", where)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.SetDeadline(time.Now().Add(20 * time.Second))
			await(t, c, epoll, listener, tell)
			fd, from, errno := c.Accept(listener)
			if errno != 0 {
				t.Fatal(errno)
			}
			if want := netip.MustParseAddrPort(client.LocalAddr().String()).Addr(); from != want {
				t.Fatalf("from %v, want %v", from, want)
			}
			talk(t, c, epoll, fd, client, tell)
		}
		if _, _, errno := c.Accept(listener); errno != syscall.EAGAIN {
			t.Errorf("with nobody to accept: %v", errno)
		}
	}
}

// talk has a client that was accepted heard, answered and hung up on.
func talk(t *testing.T, c *Caller, epoll, fd int, client net.Conn, tell bool) {
	t.Helper()
	in := make([]byte, 100)
	if n, errno := c.Receive(fd, in); n != -1 || errno != syscall.EAGAIN {
		t.Fatalf("from a silent client: %d, %v", n, errno)
	}
	watch(t, epoll, fd)
	if _, err := client.Write([]byte("what?")); err != nil {
		t.Fatal(err)
	}
	await(t, c, epoll, fd, tell)
	if n, errno := c.Receive(fd, in); errno != 0 || string(in[:n]) != "what?" {
		t.Fatalf("received %q, %v", in[:max(n, 0)], errno)
	}
	for _, more := range []bool{false, true} {
		if n, errno := c.Send(fd, []byte("that."), more); n != 5 || errno != 0 {
			t.Fatalf("sent %d, %v", n, errno)
		}
	}
	client.(*net.TCPConn).CloseWrite()
	await(t, c, epoll, fd, tell)
	if n, errno := c.Receive(fd, in); n != 0 || errno != 0 {
		t.Fatalf("behind the end: %d, %v", n, errno)
	}
	c.Close(fd)
	var all bytes.Buffer
	if _, err := all.ReadFrom(client); err != nil || all.String() != "that.that." {
		t.Fatalf("the client got %q, %v", all.String(), err)
	}
}

// TestErrors: what the system refuses comes back as its error.
func TestErrors(t *testing.T) {
	c := new(Caller)
	b := make([]byte, 1)
	for _, tell := range []bool{false, true} {
		if fd, from, errno := c.Accept(-1); fd != -1 || from.IsValid() || errno != syscall.EBADF {
			t.Fatal(fd, from, errno)
		}
		if n, errno := c.Receive(-1, b); n != -1 || errno != syscall.EBADF {
			t.Fatal(n, errno)
		}
		if n, errno := c.Send(-1, b, false); n != -1 || errno != syscall.EBADF {
			t.Fatal(n, errno)
		}
		if n, errno := c.Ready(-1, make([]unix.EpollEvent, 1), tell); n != -1 || errno != syscall.EBADF {
			t.Fatal(n, errno)
		}
	}
}
