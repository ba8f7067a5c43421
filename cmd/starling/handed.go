package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"starling/tracker"
	"starling/wire"
)

// handed is what this process was given by the one before it under the same number (see upgrade.go), or by systemd: sockets that are bound
// already, and what the last process knew. The zero value is nothing.
type handed struct {
	Sockets  []handedSocket
	ID       wire.NodeID // zero: there was none
	Secret   []byte      // of UDP connection ids
	Snapshot int         // descriptor of a snapshot; 0: there is none
	Confined bool        // Landlock holds for this process

	Conns []tracker.Kept // of HTTP clients
}

// A handedSocket is one of them.
type handedSocket struct {
	Flag string // http, https, udp or admin
	Addr string // as the flag had it; empty: from systemd
	FD   int

	file *os.File // from then on
}

// handoverVariable names the descriptor of a file that says what is handed over.
const handoverVariable = "STARLING_HANDOVER"

// maxHandover bounds that file. Most of it are connections: some 30 bytes each, and what was read of requests.
const maxHandover = 1 << 28

// takeHanded takes what the process was given. It is asked once.
func takeHanded() (*handed, error) {
	h := new(handed)
	if number := os.Getenv(handoverVariable); number != "" {
		os.Unsetenv(handoverVariable)
		if err := h.read(number); err != nil {
			return nil, fmt.Errorf("%s=%s: %w", handoverVariable, number, err)
		}
		return h, nil
	}
	for _, f := range activation.Files(true) {
		flag := f.Name()
		if strings.HasSuffix(flag, ".socket") { // what systemd calls it when the unit does not say
			flag = flagOf(f)
		}
		if !slices.Contains([]string{"http", "https", "udp", "admin"}, flag) {
			return nil, fmt.Errorf("LISTEN_FDNAMES: a socket is called %q; FileDescriptorName is http, https, udp or admin", f.Name())
		}
		h.Sockets = append(h.Sockets, handedSocket{Flag: flag, file: f})
	}
	return h, nil
}

// flagOf returns the flag that a socket is for by its type.
func flagOf(f *os.File) string {
	kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case err == nil && kind == unix.SOCK_STREAM:
		return "http"
	case err == nil && kind == unix.SOCK_DGRAM:
		return "udp"
	}
	return ""
}

// read takes over from the program that ran in this process before.
func (h *handed) read(number string) error {
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return errors.New("that is no descriptor")
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHandover))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, h); err != nil {
		return err
	}
	for i := range h.Sockets {
		s := &h.Sockets[i]
		unix.CloseOnExec(s.FD)
		s.file = os.NewFile(uintptr(s.FD), s.Flag)
	}
	for _, c := range h.Conns {
		unix.CloseOnExec(c.FD)
	}
	if h.Snapshot > 0 {
		unix.CloseOnExec(h.Snapshot)
	}
	return nil
}

// take returns the sockets of a flag and an address, which are its own from then on.
func (h *handed) take(flag, addr string) (files []*os.File) {
	if h == nil {
		return nil
	}
	h.Sockets = slices.DeleteFunc(h.Sockets, func(s handedSocket) bool {
		fits := s.Flag == flag && (s.Addr == addr || s.Addr == "" && sameAddress(s.file, addr))
		if fits {
			files = append(files, s.file)
		}
		return fits
	})
	return files
}

// rest closes what nobody took. It is an error for sockets from systemd: they are somebody's intention.
func (h *handed) rest() (err error) {
	if h == nil {
		return nil
	}
	for _, s := range h.Sockets {
		if s.Addr == "" && err == nil {
			err = fmt.Errorf("systemd hands over a socket called %s on %s, where --%s does not listen", s.Flag, boundTo(s.file), s.Flag)
		}
		s.file.Close()
	}
	h.Sockets = nil
	return err
}

// boundTo returns the address that a socket is bound to, the zero one when it is none of the internet.
func boundTo(f *os.File) netip.AddrPort {
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// sameAddress reports whether a socket is bound to what a flag says: without a host it is any of the host's addresses.
func sameAddress(f *os.File, addr string) bool {
	is := boundTo(f)
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != strconv.Itoa(int(is.Port())) {
		return false
	}
	switch host {
	case "":
		return is.Addr().IsUnspecified()
	case "localhost":
		return is.Addr().IsLoopback()
	}
	want, err := netip.ParseAddr(host)
	return err == nil && want.Unmap() == is.Addr().Unmap()
}

// secret returns that of UDP connection ids, nil when there is none.
func (h *handed) secret() []byte {
	if h == nil {
		return nil
	}
	return h.Secret
}

// conns returns the connections of HTTP clients, once.
func (h *handed) conns() (conns []tracker.Kept) {
	if h != nil {
		conns, h.Conns = h.Conns, nil
	}
	return conns
}

// confines reports whether Landlock holds for this process already.
func (h *handed) confines() bool { return h != nil && h.Confined }

// http returns the listeners that were handed over for an address, none when there are none. One that has no others beside it is shared
// by all goroutines that serve.
func (h *handed) http(flag, addr string, loops int) (lns []net.Listener, err error) {
	files := h.take(flag, addr)
	for i := range shares(files, loops) {
		ln, err := tracker.AdoptHTTP(files[i%len(files)])
		if err != nil {
			return nil, err
		}
		lns = append(lns, ln)
	}
	closeAll(files)
	return lns, nil
}

// udp does so for UDP.
func (h *handed) udp(addr string, loops int) (conns []*net.UDPConn, err error) {
	files := h.take("udp", addr)
	for i := range shares(files, loops) {
		conn, err := tracker.AdoptUDP(files[i%len(files)])
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
	}
	closeAll(files)
	return conns, nil
}

// shares returns how many are to be made of some files.
func shares(files []*os.File, loops int) int {
	if len(files) == 1 {
		return loops
	}
	return len(files)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
