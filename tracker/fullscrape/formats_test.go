package fullscrape

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"starling/wire"
)

// TestFormats: the words are opentracker's.
func TestFormats(t *testing.T) {
	f := wire.ScrapeFile{InfoHash: wire.InfoHash([]byte("\x00\xffabcdefghijklmnop-~")), Seeders: 3, Leechers: 258, Downloaders: 2, Downloaded: 9}
	for format, want := range map[Format]string{
		Ben: "20:\x00\xffabcdefghijklmnop-~d8:completei3e10:downloadedi9e11:downloadersi2e10:incompletei258ee",
		Txt: "00FF6162636465666768696A6B6C6D6E6F702D7E:3:258\n",
		Bin: "\x00\xffabcdefghijklmnop-~\x00\x00\x00\x03\x00\x00\x01\x02",
		URL: "%00%ffabcdefghijklmnop-~:3:258\n",
	} {
		if got := string(format.append(nil, &f)); got != want {
			t.Errorf("%d: %q, want %q", format, got, want)
		}
	}
	if raw, err := url.QueryUnescape(string(appendEscaped(nil, f.InfoHash[:]))); err != nil || raw != string(f.InfoHash[:]) {
		t.Errorf("%q, %v", raw, err)
	}
}

// TestConvert reads what was written, however the reads are cut, and names a copy that is cut off or damaged.
func TestConvert(t *testing.T) {
	r := seeded(t)
	var files []wire.ScrapeFile
	copied := []byte(wire.ScrapeBegin)
	var want []byte
	for range r.IntN(300) {
		files = append(files, fileOf(anyCounts(r)))
		copied = files[len(files)-1].Append(copied)
		want = Txt.append(want, &files[len(files)-1])
	}
	copied = append(copied, wire.ScrapeEnd...)
	for name, in := range map[string]io.Reader{
		"whole": bytes.NewReader(copied), "byte by byte": iotest.OneByteReader(bytes.NewReader(copied)), "end with data": iotest.DataErrReader(bytes.NewReader(copied)),
	} {
		var out bytes.Buffer
		if err := convert(&out, in, Txt); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: %v, %d bytes of %d", name, err, out.Len(), len(want))
		}
	}
	for cut := 0; cut < len(copied); cut += 1 + r.IntN(40) {
		if err := convert(io.Discard, bytes.NewReader(copied[:cut]), Txt); err != errCopy {
			t.Fatalf("cut off at %d of %d: %v", cut, len(copied), err)
		}
	}
	broken := fmt.Errorf("broken")
	if err := convert(io.Discard, io.MultiReader(bytes.NewReader(copied), iotest.ErrReader(broken)), Txt); err != broken {
		t.Error(err)
	}
	if err := convert(io.Discard, strings.NewReader(wire.ScrapeBegin+strings.Repeat("x", 3*pieceSize)), Txt); err != errCopy {
		t.Error(err)
	}
}

// FuzzParseFile: what is read, written again, is what was read.
func FuzzParseFile(f *testing.F) {
	file := wire.ScrapeFile{Seeders: 1, Leechers: 2, Downloaders: 1, Downloaded: 1 << 63}
	whole := file.Append(nil)
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Add(append(whole, "rest"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, n, ok := parseFile(b)
		if !ok {
			return
		}
		again, m, ok := parseFile(append(file.Append(nil), b[n:]...))
		if !ok || again != file || m > n {
			t.Errorf("%q: %+v, then %+v", b, file, again)
		}
	})
}
