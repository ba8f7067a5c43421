package tracker

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connIDPeriod is how long one secret makes connection ids. An id is good until
// the period after its own has ended, so it lives for more than one period and for
// two at most. BEP 15 asks for two minutes; clients are known to use an id for
// five and more, and one that lives for ever could be replayed by whoever has the address next.
const connIDPeriod = 5 * time.Minute

// connIDsKnown is for how many more periods it is known that an id was good, so that a client that uses it for half an hour is not taken for one that guesses.
const connIDsKnown = 6

// connIDs makes and checks the connection ids of BEP 15, with which a client
// proves that it receives what is sent to its address. Nothing is kept for a
// client: an id is the address enciphered under a secret of the current period,
// cut to 8 bytes. Who does not see the answer to its connect request has to guess it.
//
//	time      |------- period 1 ------|------- period 2 ------|--- period 3
//	secret    |           a           |           b           |     c
//	accepted  |           a           |         b, a          |   c, b
//	one id         made |<- more than one period ->| refused from here on
//
// The port is no part of it: a client behind a translator of addresses may come from another
// port with its next packet, and whoever can receive at an address needs no forged port.
type connIDs struct {
	keys atomic.Pointer[connKeys]
	mu   sync.Mutex // held while keys is replaced
}

// connKeys are the secrets of two adjoining periods. It is never changed, only replaced.
type connKeys struct {
	since             time.Time // when the current period began
	current, previous cipher.Block
	older             [connIDsKnown]cipher.Block // of the periods before, the latest first; nil: there were none
	currentKey        [16]byte                   // of current, likewise
	previousKey       [16]byte
}

// connScratch is the block a cipher works on. It belongs to the caller, since one
// on the stack would be moved to the heap by the call through an interface.
type connScratch [aes.BlockSize]byte

// newConnIDs goes on with the secrets that another server had, or makes new ones when they are none or not of this time.
func newConnIDs(now time.Time, secret []byte) *connIDs {
	c := new(connIDs)
	k := parseSecret(secret)
	if k == nil || now.Sub(k.since) < 0 || now.Sub(k.since) >= 2*connIDPeriod {
		k = newConnKeys(now, newConnKey(), newConnKey())
	}
	c.keys.Store(k)
	return c
}

// The secrets of a server as another one takes them:
//
//	| since i64, ns of the clock | current key 16 | previous key 16 |
const connSecretSize = 8 + 2*16

// secret returns the secrets.
func (c *connIDs) secret() []byte {
	k := c.keys.Load()
	b := binary.BigEndian.AppendUint64(nil, uint64(k.since.UnixNano()))
	return append(append(b, k.currentKey[:]...), k.previousKey[:]...)
}

// parseSecret reads them, nil when that is none.
func parseSecret(b []byte) *connKeys {
	if len(b) != connSecretSize {
		return nil
	}
	return newConnKeys(time.Unix(0, int64(binary.BigEndian.Uint64(b))), [16]byte(b[8:]), [16]byte(b[24:]))
}

// newConnKeys returns the secrets of a period that began at since.
func newConnKeys(since time.Time, current, previous [16]byte) *connKeys {
	return &connKeys{since: since, current: newConnCipher(current), previous: newConnCipher(previous), currentKey: current, previousKey: previous}
}

// make returns the connection id of an address, whose zone does not count.
func (c *connIDs) make(now time.Time, addr netip.Addr, scratch *connScratch) uint64 {
	return connID(c.at(now).current, addr, scratch)
}

// valid reports whether id was made for the address in this period or the one before.
func (c *connIDs) valid(now time.Time, addr netip.Addr, id uint64, scratch *connScratch) bool {
	k := c.at(now)
	return id == connID(k.current, addr, scratch) || id == connID(k.previous, addr, scratch)
}

// wasValid reports whether an id that is not valid was made for the address some periods ago.
func (c *connIDs) wasValid(now time.Time, addr netip.Addr, id uint64, scratch *connScratch) bool {
	for _, secret := range c.at(now).older {
		if secret != nil && id == connID(secret, addr, scratch) {
			return true
		}
	}
	return false
}

// shift returns the older secrets with those before them that grow old now.
func (k *connKeys) shift(old ...cipher.Block) (older [connIDsKnown]cipher.Block) {
	copy(older[copy(older[:], old):], k.older[:])
	return older
}

// at returns the secrets that hold now, and makes new ones when a period has
// ended. After two periods without a packet both are new. A time before the
// current period, read by another goroutine before it began, changes nothing.
func (c *connIDs) at(now time.Time) *connKeys {
	k := c.keys.Load()
	if now.Sub(k.since) < connIDPeriod {
		return k
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k = c.keys.Load()
	age := now.Sub(k.since)
	switch {
	case age < connIDPeriod:
		return k
	case age < 2*connIDPeriod:
		older := k.shift(k.previous)
		k = newConnKeys(k.since.Add(connIDPeriod), newConnKey(), k.currentKey)
		k.older = older
	default:
		older := k.shift(k.current, k.previous)
		k = newConnKeys(now, newConnKey(), newConnKey())
		k.older = older
	}
	c.keys.Store(k)
	return k
}

func connID(secret cipher.Block, addr netip.Addr, scratch *connScratch) uint64 {
	*scratch = addr.As16()
	secret.Encrypt(scratch[:], scratch[:])
	return binary.BigEndian.Uint64(scratch[:])
}

// newConnKey returns a fresh random key.
func newConnKey() (key [16]byte) {
	rand.Read(key[:]) // never fails: the program ends when the system has no randomness
	return key
}

// newConnCipher returns AES with a key.
func newConnCipher(key [16]byte) cipher.Block {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	return block
}
