package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An upgrade puts the program that is on the disk in the place of the one that runs, in the same process, at SIGUSR2:
//
//	judge       the new program is asked to check the command line and the configuration; if it does not like them the old one goes on
//	drain       HTTP first: what was read is answered, and connections stay open, but those over TLS; then UDP: what was read is answered
//	hand over   the sockets, the connections, the secret of UDP connection ids, the node's id, and a snapshot that is written into memory
//	exec        the process keeps its number, systemd its main process
//	serve       the new program reads the snapshot and serves what waits in the queues of the very same sockets
//
// From the end of draining on nothing is announced, so that the snapshot has everything. Meanwhile the system keeps what arrives: connections up to
// net.core.somaxconn for each socket, packets up to its receive buffer (4 MiB, or net.core.rmem_max), some 5,000 announces.

const (
	judgeTime    = 30 * time.Second // for the new program to say what it thinks of the configuration, see takeover.go
	handoverTime = time.Second      // for clients to take their answers; a request that is not answered by then never is
)

// upgradeOnSignal begins an upgrade at SIGUSR2 until stop is called. Args are those of the process.
func (n *node) upgradeOnSignal(ctx context.Context, args []string) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	go func() {
		for range signals {
			if err := n.judgeProgram(ctx, args); err != nil {
				n.log.Error().Err(err).Msg("the program on the disk cannot take over: this one goes on")
				n.events.add(time.Now(), eventNoReload, "the program on the disk cannot take over: "+err.Error())
				continue
			}
			n.log.Info().Msg("the program on the disk takes over")
			tellReloading()
			close(n.handing)
			return
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// handsOver reports whether another program is to take over.
func (n *node) handsOver() bool {
	select {
	case <-n.handing:
		return true
	default:
		return false
	}
}

// keepSockets takes copies of the sockets' descriptors, to hand them over: the servers close theirs.
func (n *node) keepSockets() error {
	for i := range n.bound {
		s := &n.bound[i]
		raw, err := s.conn.SyscallConn()
		if err != nil {
			return err
		}
		cerr := raw.Control(func(fd uintptr) { s.FD, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
		if cerr != nil || err != nil {
			return fmt.Errorf("a socket cannot be kept for an upgrade: %w", os.NewSyscallError("fcntl", err))
		}
	}
	n.kept = true
	return nil
}

// dropSockets gives the copies back, so that clients are refused once the servers are through.
func (n *node) dropSockets() {
	if n.kept {
		for _, s := range n.bound {
			unix.Close(s.FD)
		}
	}
	n.kept = false
}

// takeOver starts the program on the disk in this process. It returns only if that fails.
func (n *node) takeOver(args []string) error {
	h := handed{ID: n.livesync.Status().ID, Secret: n.udp.Secret(), Snapshot: int(n.snapshots.memory.Fd()), Confined: n.confined, Conns: n.http.Kept()}
	for _, c := range h.Conns {
		if _, err := unix.FcntlInt(uintptr(c.FD), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	for _, s := range n.bound {
		h.Sockets = append(h.Sockets, handedSocket{Flag: s.flag, Addr: s.addr, FD: s.FD})
		if _, err := unix.FcntlInt(uintptr(s.FD), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := memoryFile("starling-handover")
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	for _, file := range []*os.File{f, n.snapshots.memory} {
		if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2) // until the other program hears them they would end it
	environ := append(os.Environ(), fmt.Sprintf("%s=%d", handoverVariable, f.Fd()))
	return os.NewSyscallError("exec", syscall.Exec(path, args, environ))
}

// memoryFile returns a file that is nowhere on a disk and nobody else's.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
