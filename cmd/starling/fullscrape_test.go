package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"starling/tracker/otstats"
)

// TestFullScrape: the networks that may ask have all torrents and every mode of /stats, nobody else has any of it, and announces go on.
func TestFullScrape(t *testing.T) {
	n := serve(t, "--livesync-interface", "none", "--full-scrape", "127.0.0.1")
	url := "http://" + n.HTTP[0]
	get(t, url+"/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=6881&left=0")
	get(t, url+"/announce?info_hash=bbbbbbbbbbbbbbbbbbbb&port=6881&left=1")
	const all = "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi0e11:downloadersi0e10:incompletei0ee" +
		"20:bbbbbbbbbbbbbbbbbbbbd8:completei0e10:downloadedi0e11:downloadersi1e10:incompletei1eeee"
	if resp, body := get(t, url+"/scrape"); resp.StatusCode != 200 || body != all {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	req, _ := http.NewRequest("GET", url+"/scrape", nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(z); string(body) != all || err != nil {
		t.Errorf("%v, %q", err, body)
	}
	for query, want := range map[string]string{
		"":                     "2\n1\nopentracker serving 2 torrents\nopentracker",
		"mode=torr":            "2\n0\nopentracker serving 2 torrents\nopentracker",
		"mode=top10":           "Top 10 torrents by peers:\n\t1\t",
		"mode=tpbs&format=txt": strings.Repeat("61", 20) + ":1:0\n" + strings.Repeat("62", 20) + ":0:1\n",
		"mode=tpbs":            all,
		"mode=fscr":            "",
		"mode=everything":      "<?xml",
	} {
		if resp, body := get(t, url+"/stats?"+query); resp.StatusCode != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %q", query, resp.StatusCode, body)
		}
	}
	for _, mode := range otstats.Modes() {
		if resp, body := get(t, url+"/stats?mode="+mode); resp.StatusCode != 200 || body == "" {
			t.Errorf("%s: %d %q", mode, resp.StatusCode, body)
		}
	}
	for query, word := range map[string]string{"mode=busy": "top100", "mode=tpbs&format=xml": "url"} {
		if resp, body := get(t, url+"/stats?"+query); resp.StatusCode != 400 || !strings.Contains(body, word) {
			t.Errorf("%s: %d %q", query, resp.StatusCode, body)
		}
	}
	if resp, body := get(t, url+"/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa"); resp.StatusCode != 200 || strings.Contains(body, "bbbb") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

// TestFullScrapeIsForNetworks: others are refused, and without the flag there is no such path.
func TestFullScrapeIsForNetworks(t *testing.T) {
	n := serve(t, "--livesync-interface", "none", "--full-scrape", "192.0.2.0/24")
	for _, path := range []string{"/scrape", "/stats?mode=peer"} {
		if resp, body := get(t, "http://"+n.HTTP[0]+path); resp.StatusCode != 403 || !strings.Contains(body, "--full-scrape") {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
	n = serve(t, "--livesync-interface", "none")
	url := "http://" + n.HTTP[0]
	if resp, _ := get(t, url+"/stats"); resp.StatusCode != 404 {
		t.Errorf("/stats: %d", resp.StatusCode)
	}
	if _, body := get(t, url+"/scrape"); !strings.Contains(body, "failure reason") {
		t.Errorf("/scrape: %q", body)
	}
}
