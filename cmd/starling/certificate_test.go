package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a certificate for 127.0.0.1 that is good for so long, and its key, and returns the names of the files.
func writePair(t *testing.T, dir string, serial int64, good time.Duration) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(good),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", pkcs8)
	return cert, key
}

func writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A certificate is read again when it changes; one that is bad changes nothing and is said once.
func TestCertificateChanges(t *testing.T) {
	dir := t.TempDir()
	cfg := &config{https: []string{":443"}}
	cfg.tlsCert, cfg.tlsKey = writePair(t, dir, 1, time.Hour)
	var news []string
	c, err := openCertificate(cfg, func(text string, err error) {
		if err != nil {
			text = "bad: " + err.Error()
		}
		news = append(news, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(serial int64, said ...string) {
		t.Helper()
		shown, err := c.config().GetCertificate(nil)
		if err != nil || shown.Leaf.SerialNumber.Int64() != serial || len(news) != len(said) {
			t.Fatalf("number %v, %v, said %q", shown.Leaf.SerialNumber, err, news)
		}
		for i := range said {
			if !strings.Contains(news[i], said[i]) {
				t.Errorf("said %q, want %q", news[i], said[i])
			}
		}
		news = nil
	}
	c.check()
	expect(1)
	same, err := openCertificate(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.replace(same)
	expect(1)
	writePair(t, dir, 2, 2*time.Hour)
	touch(t, cfg.tlsCert, 1)
	c.check()
	expect(2, "good until")
	if err := os.WriteFile(cfg.tlsKey, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.check()
	c.check()
	expect(2, "bad: tls:")
	writePair(t, dir, 3, -time.Hour)
	touch(t, cfg.tlsCert, 2)
	c.check()
	expect(2, "bad: it ran out on")
	os.Remove(cfg.tlsCert)
	c.check()
	expect(2, "bad: open")
	writePair(t, dir, 4, time.Hour)
	c.check()
	expect(4, "good until")
}

// touch makes sure that a file has another time than before.
func touch(t *testing.T, name string, n int) {
	t.Helper()
	at := time.Now().Add(time.Duration(n) * time.Second)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with the certificate is known before anything is served, and says where.
func TestCertificateRefused(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, 1, time.Hour)
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--https", "127.0.0.1:0"}, "--https: tls-cert is missing"},
		{[]string{"--https", "127.0.0.1:0", "--tls-cert", cert}, "--https: tls-key is missing"},
		{[]string{"--tls-cert", cert}, "--tls-cert: nothing is served over TLS without https"},
		{[]string{"--tls-key", key}, "--tls-key: nothing is served over TLS without https"},
		{[]string{"--https", "127.0.0.1:0", "--tls-cert", none, "--tls-key", key}, "--tls-cert: open " + none},
		{[]string{"--https", "127.0.0.1:0", "--tls-cert", key, "--tls-key", key}, "--tls-cert: " + key},
		{[]string{"--https", "nonsense", "--tls-cert", cert, "--tls-key", key}, `--https: "nonsense" is not an address and port`},
		{[]string{"--max-connections", "0"}, "--max-connections: 0 is not between"},
	} {
		var out, errs strings.Builder
		args := append([]string{"starling", "serve", "--http", "127.0.0.1:0", "--udp", "none", "--admin", "none", "--livesync-interface", "none"}, c.args...)
		if code := run(t.Context(), args, nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: %d, %s, want %s", c.args, code, errs.String(), c.want)
		}
	}
}

// A node serves announces over TLS where it is told to, and says so.
func TestServesTLS(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), 1, time.Hour)
	n := testNode(t, map[string]setting{"https": {"", []string{"127.0.0.1:0"}}, "tls-cert": {"", []string{cert}}, "tls-key": {"", []string{key}}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	authority := x509.NewCertPool()
	authority.AddCert(n.certificate.current.Load().Leaf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority}, ForceAttemptHTTP2: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	where := n.listenStatus().HTTPS
	if len(where) != 1 {
		t.Fatalf("serves TLS on %v", where)
	}
	answer, err := client.Get("https://" + where[0] + "/announce?info_hash=01234567890123456789&port=1&left=0")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || answer.ProtoMajor != 1 || !strings.HasPrefix(string(body), "d8:completei1e") {
		t.Errorf("%s %q, %v", answer.Status, body, err)
	}
}
