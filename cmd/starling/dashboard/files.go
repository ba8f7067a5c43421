package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files and nothing else, run no script that is not one of them, and be framed by nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one of the page's, as it goes over the wire.
type file struct {
	kind  string
	tag   string
	plain []byte
	small []byte // with gzip
}

// files are made when the first of them is asked for.
var files = sync.OnceValue(func() map[string]file {
	all := make(map[string]file)
	entries, _ := fs.ReadDir(static, "static") // it is embedded
	for _, e := range entries {
		b, _ := static.ReadFile("static/" + e.Name())
		var small bytes.Buffer
		w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is one there is
		w.Write(b)
		w.Close()
		sum := sha256.Sum256(b)
		all[e.Name()] = file{kindOf(e.Name()), hex.EncodeToString(sum[:8]), b, small.Bytes()}
	}
	return all
})

// kindOf does not ask the system, whose table may say anything.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// Register adds the page and its files to a mux. Each has a tag of its content, and is asked for again with it: after an upgrade
// there is never a page of one version with scripts of another for longer than it takes to load.
func Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { serve(w, r, "index.html") })
	mux.HandleFunc("GET /dashboard/{name}", func(w http.ResponseWriter, r *http.Request) { serve(w, r, r.PathValue("name")) })
}

// serve answers with a file.
func serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := files()[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Cache-Control", "no-cache")
	head.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, `"`+f.tag+`"`
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = f.small, `"`+f.tag+`-gzip"`
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		head.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", f.kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // an error means that the reader has gone; of HEAD nothing is sent
}

// acceptsGzip reports whether a client takes gzip: it names it, and not with a weight of zero.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType("x/" + strings.TrimSpace(part))
		if err == nil && name == "x/gzip" {
			q, err := strconv.ParseFloat(params["q"], 64)
			return err != nil || q > 0
		}
	}
	return false
}
