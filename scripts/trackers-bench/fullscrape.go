package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"starling/tracker/load"
)

// codings are those in which a full scrape is asked for, and their figures: how long one takes while hardly anything else is asked for,
// and beside announces, and announces' p99 then.
var codings = []struct {
	name               string
	alone, busy, after int
}{{"plain", fullPlain, fullPlainBusy, fullPlainP99}, {"gzip", fullGzip, fullGzipBusy, fullGzipP99}, {"zstd", fullZstd, fullZstdBusy, fullZstdP99}}

// trickle is how many announces a second there are while nothing else shall be asked for.
const trickle = 50

// fullScrape takes the measures of full scrapes, of a warm copy where the tracker keeps one: one after the other, and then announces at the
// paced rate, without and with scrapes, in turn for each coding.
func (s *session) fullScrape() error {
	if s.floor {
		return nil
	}
	for _, coding := range codings {
		_, alone, err := s.beside(coding.name, trickle)
		if err != nil {
			return err
		}
		idle, err := s.run("paced", s.pace(s.options.paced))
		if err != nil {
			return err
		}
		announces, busy, err := s.beside(coding.name, s.options.paced)
		if err != nil {
			return err
		}
		if len(busy) == 0 {
			fmt.Fprintf(s.options.log, "  %s is not served\n", coding.name)
			continue
		}
		for _, one := range alone[min(len(alone), 1):] { // the copy was made for the first
			s.results.add(coding.alone, millis(one.whole))
			s.results.add(fullFirst, millis(one.first))
		}
		for _, one := range busy {
			s.results.add(coding.busy, millis(one.whole))
		}
		s.results.add(fullIdleP99, micros(idle.Latency.Quantile(0.99)))
		s.results.add(coding.after, micros(announces.Latency.Quantile(0.99)))
	}
	return nil
}

// pace makes load of so many requests a second.
func (s *session) pace(rate float64) func(*load.Config) {
	return func(c *load.Config) { c.Rate, c.InFlight = rate, 0 }
}

// beside loads the tracker with so many announces a second and asks for full scrapes meanwhile.
func (s *session) beside(coding string, rate float64) (announces *load.Report, scrapes []scraped, err error) {
	ctx, end := context.WithCancel(s.ctx)
	defer end()
	done := make(chan error, 1)
	go func() {
		var failed error
		scrapes, failed = s.scrapes(ctx, coding)
		done <- failed
	}()
	announces, err = s.run("beside "+coding, s.pace(rate))
	end()
	if failed := <-done; err == nil {
		err = failed
	}
	if len(scrapes) > 0 {
		one := scrapes[len(scrapes)/2]
		fmt.Fprintf(s.options.log, "         %d of them, one of %d bytes in %v\n", len(scrapes), one.bytes, one.whole)
	}
	return announces, scrapes, err
}

// scraped is how a full scrape went: until the first byte of its answer came, and until the last.
type scraped struct {
	first, whole time.Duration
	bytes        int
}

// scrapes asks for full scrapes in a coding, one after the other, until ctx ends. It lets another process ask, of the usual priority:
// the one that announces is not to wait for it, which would look as if the tracker let it wait.
func (s *session) scrapes(ctx context.Context, coding string) (all []scraped, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-scrape", coding)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	for line := range strings.Lines(string(out)) {
		var one scraped
		if _, err := fmt.Sscan(line, &one.first, &one.whole, &one.bytes); err == nil { // the last may be cut off
			all = append(all, one)
		}
	}
	return all, nil
}

// scrapeOn is that process: it prints a line for each full scrape. A tracker that answers nothing, or in another coding, is not asked again.
func scrapeOn(coding string) error {
	syscall.Setpriority(syscall.PRIO_PROCESS, 0, 0) // it may have been higher; if that fails it was not
	for {
		one, err := scrapeOnce(coding)
		if errors.Is(err, errUnserved) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Println(int64(one.first), int64(one.whole), one.bytes) // of nanoseconds
	}
}

var errUnserved = errors.New("no answer, or in another coding")

// scrapeOnce asks for one full scrape and throws it away.
func scrapeOnce(coding string) (one scraped, err error) {
	conn, err := net.Dial("tcp4", where)
	if err != nil {
		return one, err
	}
	defer conn.Close()
	began := time.Now()
	request := "GET /scrape HTTP/1.1\r\nHost: " + where + "\r\n"
	if coding != "plain" {
		request += "Accept-Encoding: " + coding + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"Connection: close\r\n\r\n"); err != nil {
		return one, err
	}
	for b := make([]byte, 256<<10); ; {
		n, err := conn.Read(b)
		if one.bytes == 0 && n > 0 {
			one.first = time.Since(began)
			head, _, _ := bytes.Cut(b[:n], []byte("\r\n\r\n"))
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
				return one, fmt.Errorf("GET /scrape: %s", head)
			}
			if coding != "plain" && !bytes.Contains(bytes.ToLower(head), []byte("content-encoding: "+coding)) {
				return one, errUnserved
			}
		}
		one.bytes += n
		switch one.whole = time.Since(began); {
		case err == io.EOF && one.bytes == 0:
			return one, errUnserved
		case err == io.EOF:
			return one, nil
		case err != nil:
			return one, err
		}
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
