package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"starling/tracker"
)

// heldVariable tells `starling check` that it is asked by a program that is to be replaced, and which sockets that holds. It is none of
// the settings' names: an older program, which does not know it, may be meant to take over.
const heldVariable = "SOCKETS_OF_STARLING"

// judgeProgram asks the program on the disk whether it could go on in the place of this one.
func (n *node) judgeProgram(ctx context.Context, args []string) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	var held []handedSocket
	for _, s := range n.bound {
		held = append(held, handedSocket{Flag: s.flag, Addr: s.addr})
	}
	text, err := json.Marshal(held)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, judgeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"check"}, args[2:]...)...)
	cmd.Env = append(os.Environ(), heldVariable+"="+string(text))
	said, err := cmd.CombinedOutput()
	if err != nil {
		return n.explain(fmt.Errorf("%s check: %w: %.1000s", path, err, strings.Join(strings.Fields(string(said)), " ")))
	}
	return nil
}

// explain says, of an error that may come of confine, what to do about it.
func (n *node) explain(err error) error {
	if text := err.Error(); n.confined && strings.Contains(text, "open ") && strings.Contains(text, "permission denied") {
		err = fmt.Errorf("%w (with --user this process opens only what is in directories that were named when it was started: start it again for others)", err)
	}
	return err
}

// judgeTakeOver reports, when check is asked by a program that is to be replaced, what would keep this one from going on in its place: a user
// that it cannot become, and addresses that it would have to bind and cannot. By then nobody would serve.
func (c *config) judgeTakeOver(held string) (faults []error) {
	var sockets []handedSocket
	if held == "" || json.Unmarshal([]byte(held), &sockets) != nil {
		return nil
	}
	if _, err := c.user.drops(); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", c.where("user"), err))
	}
	for _, flag := range c.listens() {
		for _, addr := range flag.addrs {
			if slices.ContainsFunc(sockets, func(s handedSocket) bool { return s.Flag == flag.name && s.Addr == addr }) {
				continue
			}
			if err := tryListen(flag.name, addr); err != nil {
				faults = append(faults, c.cannotListen(flag.name, err))
			}
		}
	}
	return faults
}

// tryListen binds an address and gives it back.
func tryListen(flag, addr string) error {
	var socket io.Closer
	switch flag {
	case "udp":
		conns, err := tracker.ListenUDP(addr, 1)
		if err != nil {
			return err
		}
		socket = conns[0]
	case "admin":
		ln, err := listenAdmin(addr, nil)
		if err != nil {
			return err
		}
		socket = ln
	default:
		lns, err := tracker.ListenHTTP(addr, 1)
		if err != nil {
			return err
		}
		socket = lns[0]
	}
	return socket.Close()
}
