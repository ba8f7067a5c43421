package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// defaultAdmin is where a node has its admin address unless it is told otherwise.
const defaultAdmin = "127.0.0.1:6970"

// adminTarget is a node's admin address as a command asks it.
type adminTarget struct {
	addr  string
	token string // empty: none is given
}

// adminFlags are the flags of every command that asks a node.
func adminFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "admin", Value: defaultAdmin, Usage: "The admin `ADDR` of the node."},
		&cli.StringFlag{Name: "admin-token-file", Usage: "The `FILE` with the node's token, for what is not for everybody."},
	}
}

// adminTargetOf returns the node that the flags name.
func adminTargetOf(c *cli.Context) (t adminTarget, err error) {
	if t.addr, err = adminAddress(c.String("admin")); err != nil {
		return t, usagef("--admin: %w", err)
	}
	if path := c.String("admin-token-file"); path != "" {
		if t.token, _, err = readToken(path); err != nil {
			return t, usagef("--admin-token-file: %w", err)
		}
	}
	return t, nil
}

// adminAddress returns where to reach a node that was told to listen on s.
func adminAddress(s string) (string, error) {
	if s == off {
		return "", errors.New("a node without an admin address cannot be asked")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not an address and port, such as %s or [::1]:6970", s, defaultAdmin)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q has no port from 1 to 65535", s)
	}
	a, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && a.IsUnspecified():
		host = "127.0.0.1"
	case err != nil && setHostName(new([]string))(host) != nil:
		return "", fmt.Errorf("%q: %q is not an IP address or the name of a host", s, host)
	}
	return net.JoinHostPort(host, port), nil
}

// ask sends a request to a node and returns its answer, of most bytes at most. Anything but success is an error.
func (t adminTarget) ask(ctx context.Context, method, path string, body io.Reader, most int64) ([]byte, error) {
	return t.hear(ctx, method, path, body, func(answer io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(answer, most)) })
}

// hear does the same with an answer that need not end: what read takes of it is returned.
func (t adminTarget) hear(ctx context.Context, method, path string, body io.Reader, read func(io.Reader) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.addr+path, body)
	if err != nil {
		return nil, err
	}
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	// A proxy from the environment has no business between us and a node, and a node sends nobody on.
	client := http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("no node answers at %s: %w (is `starling serve` running, with another --admin?)", t.addr, err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return nil, t.refused(path, res)
	}
	return read(res.Body)
}

// maxRefusal bounds how much is shown of what a node says against a request.
const maxRefusal = 200

// refused says why a node did not do what it was asked for.
func (t adminTarget) refused(path string, res *http.Response) error {
	said, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	why := strings.TrimSpace(eventText(strings.TrimSpace(string(said))))
	switch {
	case res.StatusCode == http.StatusUnauthorized && t.token == "":
		why += " (give --admin-token-file)"
	case why == "":
		why = "which a node does not"
	}
	return fmt.Errorf("http://%s%s answers %s: %s", t.addr, path, res.Status, why)
}

// status returns what a node answers for its status.
func (t adminTarget) status(ctx context.Context) ([]byte, error) {
	return t.ask(ctx, http.MethodGet, statusPath, nil, maxStatus)
}
