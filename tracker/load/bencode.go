package load

import (
	"bytes"
	"errors"
	"math"

	"starling/wire"
)

var (
	errBencode = errors.New("not the bencode of an answer")
	errRefused = errors.New("the tracker refuses")
)

// maxDepth is how deep lists and dictionaries may nest in what is skipped.
const maxDepth = 16

// parseAnswer reads the answer to an announce without allocating, each known key at the
// top of the dictionary and nothing below it. A failure reason is errRefused and returned with it.
func parseAnswer(b []byte, a *answer) (failure []byte, err error) {
	*a = answer{}
	err = eachKey(b, func(key, value []byte) (err error) {
		switch string(key) {
		case "failure reason":
			if failure, _, err = cutString(value); err == nil {
				err = errRefused
			}
		case "interval":
			a.interval, err = parseUint(value)
		case "peers":
			a.peers4, err = cutPeers(value, wire.Compact4)
		case "peers6":
			a.peers6, err = cutPeers(value, wire.Compact6)
		default:
			err = a.countKey(key, value)
		}
		return err
	})
	return failure, err
}

// eachKey calls f for each key of the dictionary that b is, until f fails.
func eachKey(b []byte, f func(key, value []byte) error) error {
	if len(b) < 2 || b[0] != 'd' {
		return errBencode
	}
	for b = b[1:]; len(b) > 0 && b[0] != 'e'; {
		key, rest, err := cutString(b)
		if err != nil {
			return err
		}
		value, rest, err := cutValue(rest)
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
		b = rest
	}
	if len(b) != 1 {
		return errBencode
	}
	return nil
}

// cutString reads the string at the start of b and returns what follows it.
func cutString(b []byte) (s, rest []byte, err error) {
	n, i := 0, 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if n = 10*n + int(b[i]-'0'); n > len(b) {
			return nil, nil, errBencode
		}
	}
	if i == 0 || i == len(b) || b[i] != ':' || n > len(b)-i-1 {
		return nil, nil, errBencode
	}
	return b[i+1 : i+1+n], b[i+1+n:], nil
}

// cutValue returns the value at the start of b, whatever it is and as it stands there, and what follows it.
func cutValue(b []byte) (value, rest []byte, err error) {
	rest = b
	for depth := 0; ; {
		if len(rest) == 0 {
			return nil, nil, errBencode
		}
		switch rest[0] {
		case 'd', 'l':
			depth++
			rest = rest[1:]
		case 'e':
			depth--
			rest = rest[1:]
		case 'i':
			end := bytes.IndexByte(rest, 'e')
			if end < 0 {
				return nil, nil, errBencode
			}
			rest = rest[end+1:]
		default:
			if _, rest, err = cutString(rest); err != nil {
				return nil, nil, err
			}
		}
		if depth < 0 || depth > maxDepth {
			return nil, nil, errBencode
		}
		if depth == 0 {
			return b[:len(b)-len(rest)], rest, nil
		}
	}
}

// parseUint reads an integer that is not negative and has no more than 18 digits.
func parseUint(value []byte) (uint64, error) {
	if len(value) < 3 || len(value) > 20 || value[0] != 'i' {
		return math.MaxUint64, errBencode
	}
	var v uint64
	for _, c := range value[1 : len(value)-1] {
		if c < '0' || c > '9' {
			return math.MaxUint64, errBencode
		}
		v = 10*v + uint64(c-'0')
	}
	return v, nil
}

// cutPeers reads a string of compact peers.
func cutPeers(value []byte, size int) ([]byte, error) {
	peers, _, err := cutString(value)
	if err != nil || len(peers)%size != 0 {
		return nil, errBencode
	}
	return peers, nil
}

// parseScrape reads the counts of one torrent from the answer to a scrape of it; a torrent that the tracker does not know has none.
func parseScrape(b []byte, hash wire.InfoHash, a *answer) (refusal []byte, err error) {
	*a = answer{}
	err = eachKey(b, func(key, value []byte) error {
		switch string(key) {
		case "failure reason":
			failure, _, err := cutString(value)
			if err != nil {
				return err
			}
			refusal = failure
			return errRefused
		case "files":
			return eachKey(value, func(key, value []byte) error {
				if !bytes.Equal(key, hash[:]) {
					return nil
				}
				return eachKey(value, a.countKey)
			})
		}
		return nil
	})
	return refusal, err
}

// countKey reads a key that says how many peers there are.
func (a *answer) countKey(key, value []byte) (err error) {
	switch string(key) {
	case "complete":
		a.seeders, err = parseUint(value)
	case "incomplete":
		a.leechers, err = parseUint(value)
	}
	return err
}
