package relay

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"starling/livesync/seal"
)

// Servers are where NATS is: one server, or several of one NATS cluster.
type Servers struct {
	urls string // with what they are given as credentials
	text string // without
}

// Given reports whether there are any.
func (s Servers) Given() bool { return s.urls != "" }

// String returns them without what is secret.
func (s Servers) String() string { return s.text }

var errSecret = errors.New("not a URL such as nats://USER:PASSWORD@192.0.2.1:4222; in a password all but letters and digits is written as %XX")

var schemes = []string{"nats", "tls"}

// ParseServers reads nats://HOST:PORT or tls://HOST:PORT, before the host USER:PASSWORD@ or TOKEN@, or several of these with commas
// between them. The error never has what may be a password in it.
func ParseServers(text string) (Servers, error) {
	s, err := parseServers(text)
	if err != nil && strings.Contains(text, "@") && strings.Contains(text, ",") { // the comma may be one of a password, and what is before it no server
		return Servers{}, errSecret
	}
	return s, err
}

func parseServers(text string) (Servers, error) {
	var urls, shown []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		u, err := url.Parse(part)
		secret := strings.Contains(part, "@")
		switch {
		case secret && (err != nil || u.User == nil): // a part of a password may have been taken for the host
			return Servers{}, errSecret
		case err != nil:
			return Servers{}, fmt.Errorf("%q is not a URL such as nats://192.0.2.1:4222", part)
		}
		if err := checkServer(u); err != nil {
			return Servers{}, err
		}
		urls, shown = append(urls, u.String()), append(shown, u.Scheme+"://"+u.Host)
	}
	return Servers{urls: strings.Join(urls, ","), text: strings.Join(shown, ",")}, nil
}

// checkServer judges one URL, and adds the usual port.
func checkServer(u *url.URL) error {
	shown := u.Scheme + "://" + u.Host
	switch {
	case u.Host == "" && u.User == nil:
		return fmt.Errorf("%q is not a URL such as nats://192.0.2.1:4222", u)
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("%s is not the URL of a NATS server, which begins with nats:// or tls://", shown)
	case u.Hostname() == "":
		return fmt.Errorf("%s names no host, as nats://192.0.2.1:4222 does", shown)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("nothing may follow the host and port, %s", shown)
	case u.Port() == "":
		u.Host = net.JoinHostPort(u.Hostname(), "4222")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return fmt.Errorf("%s is not a port of %s", u.Port(), shown)
	}
	u.Path = ""
	return nil
}

// Subject returns the subject of a cluster.
func Subject(k *seal.Key) string {
	name := k.RelayName()
	return fmt.Sprintf("starling.%x", name[:])
}

// inbox returns the subject of one relay.
func inbox(subject string, number uint64) string { return fmt.Sprintf("%s.%016x", subject, number) }

// numberOf returns the number of an inbox; ok is false for all other subjects.
func numberOf(subject string) (number uint64, ok bool) {
	i := strings.LastIndexByte(subject, '.')
	if len(subject)-i-1 != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(subject[i+1:], 16, 64)
	return number, err == nil
}
