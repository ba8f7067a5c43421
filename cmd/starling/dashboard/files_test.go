package dashboard

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// get asks for a path.
func get(path string, header ...string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	Register(mux)
	req := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	return w
}

// TestFiles: each file with its kind, its policy and its tag; asked for again with the tag it is not sent; with gzip it is the same.
func TestFiles(t *testing.T) {
	total := 0
	for name, f := range files() {
		path := "/dashboard/" + name
		w := get(path)
		head := w.Header()
		if w.Code != 200 || w.Body.String() != string(f.plain) || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d, %v", path, w.Code, head)
		}
		small := get(path, "Accept-Encoding", "deflate, gzip;q=0.5")
		total += small.Body.Len()
		if small.Header().Get("Content-Encoding") != "gzip" || small.Header().Get("ETag") == head.Get("ETag") {
			t.Errorf("%s with gzip: %v", path, small.Header())
		}
		unpacked, err := gzip.NewReader(small.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(unpacked); err != nil || string(b) != string(f.plain) {
			t.Errorf("%s with gzip is something else: %v", path, err)
		}
		for _, tag := range []string{head.Get("ETag"), `"x", W/` + head.Get("ETag")} {
			if again := get(path, "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
				t.Errorf("%s again: %d, %d bytes", path, again.Code, again.Body.Len())
			}
		}
		if other := get(path, "If-None-Match", `"x"`); other.Code != 200 {
			t.Errorf("%s with another tag: %d", path, other.Code)
		}
	}
	if total > 60_000 {
		t.Errorf("the page weighs %d bytes on the wire", total)
	}
	t.Logf("the page weighs %d bytes on the wire", total)
	for _, path := range []string{"/dashboard/", "/dashboard/nothing.js", "/dashboard/..%2fhub.go"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "gzip": true, "gzip, deflate, br, zstd": true, "br,  GZIP ;q=1": true, "gzip;q=0": false, "gzip;q=0.0, br": false, "x-gzip": false, ";;,=": false,
	} {
		if got := acceptsGzip(accept); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
}

// TestPageObeysItsPolicy: no script and no style stands in the page itself, nothing is made of HTML text, no other host is named, and
// all files that are named are there.
func TestPageObeysItsPolicy(t *testing.T) {
	page := string(files()["index.html"].plain)
	for _, bad := range []string{`<script>`, `<style`, ` style="`, ` onclick`, ` onload`, `javascript:`, `http://`, `https://`, `src="//`} {
		if strings.Contains(page, bad) {
			t.Errorf("index.html has %s", bad)
		}
	}
	named := regexp.MustCompile(`(?:"/dashboard/|from "\./)([^"]+)"`)
	for name, f := range files() {
		if name == "uplot.js" || strings.HasPrefix(name, "uplot-") {
			continue
		}
		text := string(f.plain)
		for _, bad := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, ok := files()[m[1]]; !ok {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
}
