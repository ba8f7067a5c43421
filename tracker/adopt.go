package tracker

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// AdoptHTTP returns a listener for a listening socket that somebody else opened, as [ListenHTTP] would have. The file may be closed then.
func AdoptHTTP(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, errors.New("it is not a listening TCP socket")
	}
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = errors.Join(
			setsockopt(raw, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			setsockopt(raw, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, deferAccept))
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return tcp, nil
}

// AdoptUDP returns a socket that somebody else opened, as [ListenUDP] would have. The file may be closed then.
func AdoptUDP(f *os.File) (*net.UDPConn, error) {
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, errors.New("it is not a UDP socket")
	}
	raw, err := udp.SyscallConn()
	if local := udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); err == nil && local.IsUnspecified() {
		if local.Is4() {
			err = setsockopt(raw, syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
		} else {
			err = setsockopt(raw, syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
		}
	}
	if err = errors.Join(err, udp.SetReadBuffer(udpReceiveBuffer)); err != nil {
		udp.Close()
		return nil, err
	}
	return udp, nil
}
