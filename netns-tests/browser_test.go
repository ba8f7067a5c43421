package netnstests

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A browser is a headless Chromium on a host, driven over a pipe by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol):
// JSON messages with a zero byte after each. A pipe, and not its WebSocket, leads out of a namespace without a listening port.
type browser struct {
	t       *testing.T
	to      *os.File
	process *process
	session string // of the page

	mu       sync.Mutex // guards what follows
	calls    int
	answers  map[int]chan message
	problems []string // errors on the console, exceptions, requests that failed
	asked    []string // URLs
	gone     error
}

// message is one of the protocol, of any kind.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// browserPatience bounds what a browser does: it starts slowly where twenty others do.
const browserPatience = 60 * time.Second

// browse starts a browser on the host with an empty page.
func (h *host) browse() *browser {
	t := h.net.t
	t.Helper()
	require(t, "chromium", "chromium")
	read, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, to: to, answers: make(map[int]chan message)}
	b.process = h.startWith(h.name+"-chromium.log", []*os.File{read, write}, "chromium", "--headless=new", "--remote-debugging-pipe",
		"--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--no-proxy-server", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--force-color-profile=srgb", "--user-data-dir="+filepath.Join(h.net.dir, h.name+"-chromium"), "about:blank")
	read.Close()
	write.Close()
	t.Cleanup(func() { to.Close() }) // which ends it
	go b.listen(from)
	b.attach()
	return b
}

// attach makes a page and turns on what tells of its problems.
func (b *browser) attach() {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Accessibility"} {
		b.call(domain+".enable", nil, nil)
	}
}

// listen takes in what the browser says until it has ended.
func (b *browser) listen(from *os.File) {
	defer from.Close()
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.gone = errors.New("the browser has ended")
			for _, answer := range b.answers {
				close(answer)
			}
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.take(m)
	}
}

// take takes in one message: an answer, or an event.
func (b *browser) take(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ID != 0 {
		if answer := b.answers[m.ID]; answer != nil {
			answer <- m
			delete(b.answers, m.ID)
		}
		return
	}
	text, _ := json.Marshal(m.Params)
	var p struct {
		Type    string
		Request struct{ URL string }
		Entry   struct{ Level, Text, URL string }
	}
	json.Unmarshal(text, &p)
	switch m.Method {
	case "Runtime.exceptionThrown":
		b.problems = append(b.problems, string(text))
	case "Runtime.consoleAPICalled":
		if p.Type == "error" || p.Type == "warning" || p.Type == "assert" {
			b.problems = append(b.problems, string(text))
		}
	case "Log.entryAdded":
		if p.Entry.Level == "error" || p.Entry.Level == "warning" {
			b.problems = append(b.problems, p.Entry.Text+" "+p.Entry.URL)
		}
	case "Network.requestWillBeSent":
		b.asked = append(b.asked, p.Request.URL)
	}
}

// call calls a method of the protocol and waits for its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.calls++
	m := message{ID: b.calls, Session: b.session, Method: method, Params: params}
	b.answers[m.ID] = answer
	gone := b.gone
	b.mu.Unlock()
	if gone != nil {
		b.t.Fatalf("%s: %v", method, gone)
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			b.t.Fatalf("%s: the browser has ended", method)
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case result != nil:
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(browserPatience):
		b.t.Fatalf("%s: no answer within %s", method, browserPatience)
	}
}

// eval returns what a JavaScript expression is worth in the page, as text; a thrown error fails the test.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return fmt.Sprint(r.Result.Value)
}

// open goes to an address.
func (b *browser) open(url string) {
	b.t.Helper()
	var r struct{ ErrorText string }
	b.call("Page.navigate", map[string]any{"url": url}, &r)
	if r.ErrorText != "" {
		b.t.Fatalf("%s: %s", url, r.ErrorText)
	}
}

// until waits until an expression is true in the page.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	within(b.t, browserPatience, what, func() error {
		if got := b.eval(expression); got != "true" {
			return fmt.Errorf("%s is %s; the page says: %.600s", expression, got, b.eval("document.body.innerText"))
		}
		return nil
	})
}

// look gives the page a window and a colour scheme.
func (b *browser) look(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

// picture writes what the page looks like, from top to bottom, to a file of this name in a directory.
func (b *browser) picture(dir, name string) {
	b.t.Helper()
	// Two frames later everything is drawn in the size and the colours of now.
	b.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if !bytes.HasPrefix(png, []byte("\x89PNG")) || len(png) < 5000 {
		b.t.Errorf("%s is no picture of a page: %d bytes", name, len(png))
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// press presses and releases a key of the keyboard.
func (b *browser) press(key string, code int) {
	b.t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
	}
}

// clean fails the test when the page had any problem, or asked any other host for anything.
func (b *browser) clean(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the page has a problem: %s", p)
	}
	for _, url := range b.asked {
		if !strings.HasPrefix(url, origin+"/") && url != "about:blank" {
			b.t.Errorf("the page asked for %s", url)
		}
	}
}
