package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificate is what --https shows clients. It is read again when one of its files changes: one that cannot be used changes nothing, and
// is said once.
type certificate struct {
	cert, key string // files
	news      func(text string, err error)
	current   atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // guards the rest, and is held while files are read
	seen string     // what the files looked like when they were read last
}

// certificateInterval is how often the files are looked at.
const certificateInterval = 10 * time.Second

// openCertificate reads the certificate of a configuration; nil: it has none. news is told what becomes of later ones.
func openCertificate(cfg *config, news func(text string, err error)) (*certificate, error) {
	if err := cfg.checkTLS(); err != nil || len(cfg.https) == 0 {
		return nil, err
	}
	c := &certificate{cert: cfg.tlsCert, key: cfg.tlsKey, news: news}
	c.seen = c.look()
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("%s: %s and %s: %w", cfg.where("tls-cert"), c.cert, c.key, err)
	}
	return c, nil
}

// config returns what a server shows.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }}
}

// read puts the certificate in the files in force.
func (c *certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	if now := time.Now(); pair.Leaf != nil && now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("it ran out on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	c.current.Store(&pair)
	return nil
}

// look returns something that changes when one of the files does.
func (c *certificate) look() (s string) {
	for _, name := range []string{c.cert, c.key} {
		if i, err := os.Stat(name); err != nil {
			s += err.Error()
		} else {
			s += fmt.Sprintln(i.Size(), i.ModTime().UnixNano())
		}
	}
	return s
}

// replace puts another certificate in force, which may be in other files. Whether there is one at all only a restart changes.
func (c *certificate) replace(by *certificate) {
	if c == nil || by == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cert, c.key, c.seen = by.cert, by.key, by.seen
	was, is := c.current.Load(), by.current.Load()
	if bytes.Equal(was.Certificate[0], is.Certificate[0]) {
		return
	}
	c.current.Store(is)
	c.news("the certificate was read again, it is good until "+until(is.Leaf), nil)
}

// check reads the files again if they changed.
func (c *certificate) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.look()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err := c.read(); err != nil {
		c.news("the certificate was read again and is not usable: the one from before stays", err)
		return
	}
	c.news("the certificate was read again, it is good until "+until(c.current.Load().Leaf), nil)
}

func until(leaf *x509.Certificate) string { return leaf.NotAfter.Format(time.DateOnly) }

// run looks at the files until ctx ends.
func (c *certificate) run(ctx context.Context) error {
	timer := time.NewTicker(certificateInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			c.check()
		}
	}
}

// certificateNews tells who watches the node what became of a new certificate.
func (n *node) certificateNews(text string, err error) {
	if err != nil {
		n.log.Error().Err(err).Msg(text)
		n.events.add(time.Now(), eventNoReload, text+": "+err.Error())
		return
	}
	n.log.Info().Msg(text)
	n.events.add(time.Now(), eventReload, text)
}
