package wire_test

import (
	"errors"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"starling/wire"
)

// writeQuery writes an announce's query as net/url does.
func writeQuery(q wire.Query) string {
	v := url.Values{
		"info_hash": {string(q.InfoHash[:])},
		"peer_id":   {string(q.PeerID[:])},
		"port":      {strconv.Itoa(int(q.Port))},
		"left":      {strconv.FormatUint(q.Left, 10)},
		"event":     {q.Event.String()},
		"numwant":   {strconv.Itoa(q.NumWant)},
		"compact":   {"0"},
		"unknown":   {"&=%+;"},
	}
	if q.Compact {
		v.Set("compact", "1")
	}
	if q.IP.IsValid() {
		v.Set("ip", q.IP.String())
	}
	return v.Encode()
}

// urlValues reads a query with net/url, with the two documented differences:
// a semicolon is an ordinary byte, and what is wrong in a parameter matters only if the parameter is read.
// It returns the names of those that have a wrong escape as well.
func urlValues(query string) (values url.Values, wrong []string) {
	values = url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		one, err := url.ParseQuery(strings.ReplaceAll(pair, ";", "%3B"))
		if err != nil {
			name, _, _ := strings.Cut(pair, "=")
			if name, err = url.QueryUnescape(name); err == nil {
				wrong = append(wrong, name)
			}
		}
		for name, list := range one {
			values[name] = append(values[name], list...)
		}
	}
	return values, wrong
}

// readQuery is Query.Parse by other means. It returns every parameter that is wrong.
func readQuery(query string) (q wire.Query, wrong []string) {
	values, wrong := urlValues(query)
	q = wire.Query{Left: math.MaxUint64, NumWant: -1, Compact: true}
	for name, list := range values {
		if !readParam(&q, name, list[0]) || len(list) > 1 || len(list[0]) > 64 {
			wrong = append(wrong, name)
		}
	}
	for _, name := range []string{"info_hash", "port"} {
		if !values.Has(name) {
			wrong = append(wrong, name)
		}
	}
	known := []string{"info_hash", "peer_id", "port", "left", "event", "numwant", "compact", "ip"}
	return q, slices.DeleteFunc(wrong, func(name string) bool { return !slices.Contains(known, name) })
}

func readParam(q *wire.Query, name, value string) bool {
	var err error
	switch name {
	case "info_hash":
		copy(q.InfoHash[:], value)
		return len(value) == 20 || len(value) == 32
	case "peer_id":
		copy(q.PeerID[:], value)
		return len(value) == 20
	case "port":
		var port uint64
		port, err = strconv.ParseUint(value, 10, 16)
		q.Port = uint16(port)
		return err == nil && port != 0
	case "left":
		q.Left, err = strconv.ParseUint(value, 10, 64)
	case "event":
		events := []string{"", "completed", "started", "stopped", "paused"}
		q.Event = wire.Event(max(0, slices.Index(events, value)))
		return slices.Contains(events, value)
	case "numwant":
		var want uint64
		want, err = strconv.ParseUint(strings.TrimPrefix(value, "-"), 10, 64)
		q.NumWant = int(min(want, math.MaxInt32))
		if strings.HasPrefix(value, "-") {
			q.NumWant = -1
		}
	case "compact":
		q.Compact = value != "0"
	case "ip":
		q.IP, err = netip.ParseAddr(value)
		q.IP = q.IP.Unmap()
		return err == nil && q.IP.Zone() == ""
	}
	return err == nil
}

// The announce query means what net/url says it means.
func FuzzQueryParse(f *testing.F) {
	for _, query := range []string{
		qBittorrent, required, "", "&&&", "=&=", "%", "a=%1", required + "&left=4294967296&event=paused&numwant=-1&compact=0",
		required + "&ip=%3A%3Affff:192.0.2.1", required + "&ip=fe80::1%25a", "%69nfo_hash=+%20aaaaaaaabbbbbbbbbb&port=%31;2",
		required + "&peer_id=aaaaaaaaaaaaaaaaaaaa&left=18446744073709551616",
		"info_hash=aaaaaaaaaabbbbbbbbbbcccccccccccc&port=65535&event=completed&left=00&x=%zz",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		want, wrong := readQuery(query)
		var got wire.Query
		err := got.Parse([]byte(query))
		if len(wrong) == 0 {
			if err != nil || got != want {
				t.Fatalf("%q\nis %+v, %v\nwant %+v", query, got, err, want)
			}
			return
		}
		var refused *wire.ParamError
		if !errors.As(err, &refused) || !slices.Contains(wrong, refused.Param) || got != (wire.Query{}) {
			t.Fatalf("%q: %v, want an error of one of %q", query, err, wrong)
		}
	})
}

// So does the scrape query.
func FuzzParseScrape(f *testing.F) {
	f.Add("info_hash=aaaaaaaaaabbbbbbbbbb&info_hash=%61aaaaaaaaabbbbbbbbbbcccccccccccc&x=%zz")
	f.Add("")
	f.Add("info_hash=")
	f.Add(strings.Repeat("info_hash=aaaaaaaaaabbbbbbbbbb&", wire.MaxScrape+1))
	f.Fuzz(func(t *testing.T, query string) {
		values, badEscapes := urlValues(query)
		list := values["info_hash"]
		wrong := slices.Contains(badEscapes, "info_hash") || len(list) > wire.MaxScrape
		var want []wire.InfoHash
		for _, value := range list {
			if len(value) != 20 && len(value) != 32 {
				wrong = true
				continue
			}
			want = append(want, wire.InfoHash([]byte(value)))
		}
		got, err := wire.ParseScrape([]byte(query), nil)
		if (err != nil) != wrong || !wrong && !slices.Equal(got, want) {
			t.Fatalf("%q is %v, %v, want %v, wrong: %t", query, got, err, want, wrong)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	for _, name := range []string{"", "started", "completed", "stopped", "paused", "resumed"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		event, ok := wire.ParseEvent(name)
		fromBytes, ok2 := wire.ParseEvent([]byte(name))
		if ok && event.String() != name || ok != ok2 || event != fromBytes {
			t.Fatalf("%q is %v, %t, as bytes %v, %t", name, event, ok, fromBytes, ok2)
		}
	})
}
