package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

	"starling/tracker/client"
	"starling/wire"
)

// scrapeCommand returns `starling scrape`: the counts of torrents.
func scrapeCommand() *cli.Command {
	return &cli.Command{
		Name:      "scrape",
		Usage:     "ask any tracker, http or udp, for the counts of torrents",
		ArgsUsage: "URL H...",
		Description: `Takes the announce URL; over http the scrape URL is made from it. Up to 100
torrents over http, 74 over udp.

   starling scrape udp://127.0.0.1:6969 0123456789abcdef0123456789abcdef01234567
   starling scrape http://127.0.0.1:6969/announce H1 H2 --json | jq .files`,
		Flags: []cli.Flag{
			timeoutFlag(),
			&cli.BoolFlag{Name: "json", Usage: "Print the answer as one JSON object."},
		},
		Action: func(c *cli.Context) error {
			u, hashes, err := scrapeArguments(c)
			if err != nil {
				return usagef("scrape: %w", err)
			}
			cl, ctx, cancel := newClient(c)
			defer cancel()
			reply, err := cl.Scrape(ctx, u, hashes)
			if err != nil {
				return fmt.Errorf("scrape of %s: %w", u, err)
			}
			if c.Bool("json") {
				return json.NewEncoder(c.App.Writer).Encode(scrapeJSONOf(reply))
			}
			_, err = io.WriteString(c.App.Writer, scrapeText(reply, hashes))
			return err
		},
	}
}

// scrapeArguments reads the command line of `scrape`.
func scrapeArguments(c *cli.Context) (*url.URL, []wire.InfoHash, error) {
	u, err := trackerArgument(c)
	if err != nil {
		return nil, nil, err
	}
	var hashes []wire.InfoHash
	for _, arg := range c.Args().Tail() {
		h, err := wire.ParseInfoHash(arg)
		if err != nil {
			return nil, nil, err
		}
		hashes = append(hashes, h)
	}
	limit := wire.MaxScrape
	if u.Scheme == "udp" {
		limit = wire.MaxUDPScrape
	}
	if len(hashes) == 0 || len(hashes) > limit {
		return nil, nil, fmt.Errorf("%d info hashes, want 1 to %d over %s", len(hashes), limit, u.Scheme)
	}
	return u, hashes, nil
}

// scrapeJSON is the answer for scripts: the torrents the tracker told of, by the hexadecimal digits of their hashes.
type scrapeJSON struct {
	Files map[string]client.ScrapeFile `json:"files"`
}

func scrapeJSONOf(r *client.ScrapeReply) scrapeJSON {
	s := scrapeJSON{Files: make(map[string]client.ScrapeFile, len(r.Files))}
	for h, f := range r.Files {
		s.Files[h.String()] = f
	}
	return s
}

// scrapeText returns the answer for people: a row for each torrent, in the order they were asked for.
func scrapeText(r *client.ScrapeReply, hashes []wire.InfoHash) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-40s %12s %12s %12s\n", "info hash", "seeders", "leechers", "downloaded")
	for _, h := range hashes {
		f, ok := r.Files[h]
		if !ok {
			fmt.Fprintf(&b, "%v   not known to the tracker\n", h)
			continue
		}
		fmt.Fprintf(&b, "%v %12d %12d %12d", h, f.Complete, f.Incomplete, f.Downloaded)
		if f.Downloaders != nil && *f.Downloaders < f.Incomplete {
			fmt.Fprintf(&b, "   %d leechers want no more", f.Incomplete-*f.Downloaders)
		}
		b.WriteString("\n")
	}
	return b.String()
}
