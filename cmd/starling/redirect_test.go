package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"starling/tracker/sibling"
)

// impatient are classes in which nobody waits, so that a test need not.
const impatient = `
[[class]]
name = "all"
rate = "90%"
ceil = "100%"
wait = "0s"
match = {event = ["started", "completed", "stopped", "regular", "scrape", "bulk"]}
`

// get asks a URL without following anything.
func get(t *testing.T, url string) (res *http.Response, body string) {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestRedirect: a node that has no tokens sends clients to a sibling, which answers them; a client that was sent on is never
// sent on again, and nobody is sent to a sibling that has itself none.
func TestRedirect(t *testing.T) {
	t.Parallel()
	roomy := serve(t, "--livesync-interface", "none")
	full := serve(t, "--livesync-interface", "none", "--config", writeConfig(t, "announce-rate = \"1/s\"\n"+impatient),
		"--redirect", "--sibling", fmt.Sprintf("http://%s/announce=http://%s/healthz", roomy.HTTP[0], roomy.Admin))
	fuller := serve(t, "--livesync-interface", "none", "--config", writeConfig(t, "announce-rate = \"1/s\"\n"+impatient),
		"--redirect", "--sibling", fmt.Sprintf("http://%s/announce=http://%s/healthz", full.HTTP[0], full.Admin))
	query := "/announce?info_hash=" + exampleHash[:20] + "&port=6881"

	// redirected asks until an answer is a redirect, and counts how many are asked at most.
	redirected := func(base, query string) (location string) {
		for range 30 {
			res, body := get(t, "http://"+base+query)
			if res.StatusCode == http.StatusFound {
				return res.Header.Get("Location")
			}
			if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "d") {
				t.Fatalf("%s: %q", res.Status, body)
			}
		}
		return ""
	}
	await(t, "the sibling is up", func() bool { return nodeStatusOf(t, full.Admin).Pacing.Siblings[0].Up })
	location := ""
	await(t, "it sends a client on", func() bool { // on a slow machine a probe fails now and then
		location = redirected(full.HTTP[0], query)
		return location != ""
	})
	if want := "http://" + roomy.HTTP[0] + query + "&" + sibling.Marker + "=1"; location != want {
		t.Fatalf("sent to %q, want %q", location, want)
	}
	if res, body := get(t, location); res.StatusCode != http.StatusOK || !strings.Contains(body, "8:interval") {
		t.Errorf("there: %s %q", res.Status, body)
	}
	if again := redirected(full.HTTP[0], query+"&"+sibling.Marker+"=1"); again != "" {
		t.Errorf("sent on twice, to %s", again)
	}
	await(t, "the status counts the redirects", func() bool { return nodeStatusOf(t, full.Admin).Pacing.Steps["redirect"] > 0 })

	await(t, "its health says that there is no room", func() bool {
		redirected(full.HTTP[0], query)
		res, _ := get(t, "http://"+full.Admin+"/healthz")
		return res.StatusCode == http.StatusOK && res.Header.Get(sibling.RoomHeader) == sibling.NoRoom
	})
	await(t, "the other knows that there is no room", func() bool {
		redirected(full.HTTP[0], query) // stays full
		b := nodeStatusOf(t, fuller.Admin).Pacing.Siblings[0]
		return b.Up && !b.Room
	})
	if to := redirected(fuller.HTTP[0], query); to != "" {
		t.Errorf("sent to %s, which is full", to)
	}
}
