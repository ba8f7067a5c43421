package catchup

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"starling/livesync/seal"
)

// protocol is what both sides must name in the handshake (ALPN).
const protocol = "starling-catchup/1"

// ErrStranger says that the other side does not have the cluster's key.
var ErrStranger = errors.New("the other side does not have a key of this cluster")

// TLS is how nodes with the same keys talk to each other, on either side: TLS 1.3 with a certificate on both, in which nothing counts but the
// public key, which is derived from the cluster key. Ours is that of the first key; that of any of them is good on the other side.
func TLS(keys seal.Keys) (*tls.Config, error) {
	var good []ed25519.PublicKey
	var own ed25519.PrivateKey
	for i := range keys {
		seed := keys[i].CatchUpSeed()
		private := ed25519.NewKeyFromSeed(seed[:])
		if i == 0 {
			own = private
		}
		good = append(good, private.Public().(ed25519.PublicKey))
	}
	if own == nil {
		return nil, errors.New("there is no key")
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, own.Public(), own)
	if err != nil {
		return nil, fmt.Errorf("certificate for catching up: %w", err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: own}},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // of names and authorities; VerifyConnection looks at what counts, on both sides
		VerifyConnection:       func(s tls.ConnectionState) error { return verify(s, good) },
		SessionTicketsDisabled: true,
	}, nil
}

// verify is asked in every handshake, which has shown by then that the other side has the private key of its certificate.
func verify(s tls.ConnectionState, good []ed25519.PublicKey) error {
	if s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != protocol || len(s.PeerCertificates) == 0 {
		return ErrStranger
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || !slices.ContainsFunc(good, func(g ed25519.PublicKey) bool { return bytes.Equal(g, key) }) {
		return ErrStranger
	}
	return nil
}
