package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/tracker/ondemand"
)

// withState are the flags of a node on the loopback interface that keeps what it learns.
func withState(dir, group string) []string {
	return []string{"--state-dir", dir, "--livesync-interface", "lo", "--livesync-node", "127.0.0.0/8", "--livesync-group", group, "--livesync-flush", "1ms"}
}

// request sends a request to an admin address and returns its status and body.
func request(t *testing.T, method, addr, path string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answerTo(t, req)
}

func answerTo(t *testing.T, req *http.Request) (code int, body string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// must sends a request whose status must be as wanted.
func must(t *testing.T, want int, method, addr, path string) (body string) {
	t.Helper()
	code, body := request(t, method, addr, path)
	if code != want {
		t.Errorf("%s %s: %d %s, want %d", method, path, code, body, want)
	}
	return body
}

// announceAs announces a client over HTTP under a Host header and returns how many leechers there are.
func announceAs(t *testing.T, addr, host string, port int) (leechers int) {
	t.Helper()
	target := fmt.Sprintf("http://%s/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&left=1&port=%d", addr, port)
	req, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	_, body := answerTo(t, req)
	_, rest, _ := strings.Cut(body, "10:incomplete")
	if _, err := fmt.Sscanf(rest, "i%de", &leechers); err != nil {
		t.Fatalf("announce under %s: %q", host, body)
	}
	return leechers
}

// awaitLeechers announces the same client until the tracker of that host counts so many.
func awaitLeechers(t *testing.T, addr, host string, port, want int) {
	t.Helper()
	began := time.Now()
	for {
		got := announceAs(t, addr, host, port)
		if got == want {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%s counts %d leechers, want %d", host, got, want)
		}
	}
}

// director returns what a node lists of one on-demand tracker.
func director(t *testing.T, admin, name string) (d directorStatus) {
	t.Helper()
	body := must(t, http.StatusOK, "GET", admin, "/api/v1/director/"+name)
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return d
}

// TestDirectors: an on-demand tracker has swarms of its own on two nodes, which
// are in sync on a group of its own; it is there after a restart and gone after a deletion.
func TestDirectors(t *testing.T) {
	group := fmt.Sprintf("%s:9696", testGroup().Addr()) // no name has this port
	dirs := []string{t.TempDir(), t.TempDir()}
	a, b := serve(t, withState(dirs[0], group)...), serve(t, withState(dirs[1], group)...)
	for _, s := range []*serving{a, b} {
		must(t, http.StatusCreated, "PUT", s.Admin, "/api/v1/director/films?hostname=Films.Example")
		must(t, http.StatusOK, "PUT", s.Admin, "/api/v1/director/films?hostname=films.example&port=6969")
		must(t, http.StatusCreated, "PUT", s.Admin, "/api/v1/director/cats?hostname=cats.example")
	}
	announceAs(t, a.HTTP[0], "films.example:6969", 1)
	announceAs(t, a.HTTP[0], "films.example:6969", 2)
	announceAs(t, a.HTTP[0], "cats.example", 3)
	announceAs(t, a.HTTP[0], "films.example", 4) // port 80, which is the node's own
	awaitLeechers(t, b.HTTP[0], "films.example:6969", 5, 3)
	awaitLeechers(t, b.HTTP[0], "CATS.example.:1", 6, 2)
	awaitLeechers(t, b.HTTP[0], b.HTTP[0], 7, 2)

	want := ondemand.Entry{Name: "films", Hostname: "films.example", Port: 6969}
	d := director(t, b.Admin, "films")
	if d.Entry != want || d.Torrents != 1 || d.Peers.IPv4 != 3 || d.Leechers != 3 || !strings.HasSuffix(d.Livesync.Group, ":36212") || d.Livesync.Nodes != 1 {
		t.Errorf("listed as %+v", d)
	}
	if st := nodeStatusOf(t, b.Admin); len(st.Directors) != 2 || st.Directors[0].Name != "cats" || st.Directors[1].Entry != want || st.Peers.IPv4 != 2 {
		t.Errorf("status %+v", st)
	}
	if r := inTime(t, "status", "--admin", b.Admin); !strings.Contains(r.stdout, "\nfilms      films.example:6969         1      3  ") {
		t.Errorf("status:\n%s", r.stdout)
	}
	must(t, http.StatusNoContent, "DELETE", b.Admin, "/api/v1/director/cats")
	must(t, http.StatusNotFound, "DELETE", b.Admin, "/api/v1/director/cats")
	must(t, http.StatusNotFound, "GET", b.Admin, "/api/v1/director/cats")
	b.wait(t)

	again := serve(t, withState(dirs[1], group)...)
	if body := must(t, http.StatusOK, "GET", again.Admin, "/api/v1/director"); !strings.Contains(body, `"films"`) || strings.Contains(body, "cats") {
		t.Errorf("after a restart: %s", body)
	}
	announceAs(t, a.HTTP[0], "films.example:6969", 8)
	awaitLeechers(t, again.HTTP[0], "films.example:6969", 9, 5) // 1, 2 and 5 from before, 8 and 9
	for addr, page := range map[string]string{a.Admin: "2", again.Admin: "1"} {
		if _, body := request(t, "GET", addr, "/metrics"); !strings.Contains(body, "\nstarling_directors "+page+"\n") || !strings.Contains(body, `director_torrents{director="films"} 1`) {
			t.Errorf("metrics of %s do not count %s", addr, page)
		}
	}
}

// TestDirectorsRefused: what cannot be is refused with a status that fits and a word that helps.
func TestDirectorsRefused(t *testing.T) {
	s := serve(t, "--state-dir", t.TempDir(), "--livesync-interface", "none")
	must(t, http.StatusCreated, "PUT", s.Admin, "/api/v1/director/a?hostname=a.example")
	for _, tt := range []struct {
		method, path string
		code         int
		word         string
	}{
		{"PUT", "b", 400, "hostname"},
		{"PUT", "b?hostname=", 400, "hostname"},
		{"PUT", "b?hostname=b:80", 400, "hostname"},
		{"PUT", "b?hostname=b&port=0", 400, "port"},
		{"PUT", "b?hostname=b&port=65536", 400, "port"},
		{"PUT", "b?hostname=b&port=", 400, "port"},
		{"PUT", "b?hostname=b&prot=1", 400, "prot"},
		{"PUT", "b?hostname=b&hostname=c", 400, "hostname"},
		{"PUT", "b?hostname=%zz", 400, "zz"},
		{"PUT", "-b?hostname=b", 400, "name"},
		{"PUT", "b%2Fc?hostname=b", 400, "name"},
		{"PUT", "b?hostname=A.example.", 409, "a has"},
		{"PUT", "c/d?hostname=b", 404, ""},
		{"POST", "b?hostname=b", 405, ""},
		{"GET", "b", 404, "no such"},
		{"DELETE", "b", 404, "no such"},
	} {
		if body := must(t, tt.code, tt.method, s.Admin, "/api/v1/director/"+tt.path); !strings.Contains(body, tt.word) {
			t.Errorf("%s %s: %q does not say %q", tt.method, tt.path, body, tt.word)
		}
	}
	if body := must(t, http.StatusOK, "GET", s.Admin, "/api/v1/director/"); strings.Count(body, `"name"`) != 1 {
		t.Errorf("listed: %s", body)
	}
	for _, change := range []string{"PUT", "DELETE"} {
		req, err := http.NewRequestWithContext(t.Context(), change, "http://"+s.Admin+"/api/v1/director/a?hostname=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://evil.example")
		if code, _ := answerTo(t, req); code != http.StatusForbidden {
			t.Errorf("%s from a web page: %d", change, code)
		}
	}
	if d := director(t, s.Admin, "a"); d.Hostname != "a.example" {
		t.Errorf("a is now %+v", d)
	}
}

// TestDirectorPortTaken: two names on one port, and one on that of the node's own group.
func TestDirectorPortTaken(t *testing.T) {
	seen := make(map[uint16]string)
	var one, two string
	for i := 0; one == ""; i++ {
		two = fmt.Sprint("n", i)
		one = seen[ondemand.GroupPort(two)]
		seen[ondemand.GroupPort(two)] = two
	}
	group := fmt.Sprintf("%s:%d", testGroup().Addr(), ondemand.GroupPort("films"))
	dir := t.TempDir()
	s := serve(t, withState(dir, group)...)
	must(t, http.StatusCreated, "PUT", s.Admin, "/api/v1/director/"+one+"?hostname=one")
	for name, word := range map[string]string{two: one, "films": "own tracker"} {
		if body := must(t, http.StatusConflict, "PUT", s.Admin, "/api/v1/director/"+name+"?hostname=two"); !strings.Contains(body, word) {
			t.Errorf("%s: %q does not name %s", name, body, word)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ondemand.Directory, "*")); len(files) != 1 {
		t.Errorf("files %v", files)
	}
}

// TestDirectorsWithoutState: nothing is written without a directory for it, and that is said.
func TestDirectorsWithoutState(t *testing.T) {
	s := serve(t, "--livesync-interface", "none")
	if body := must(t, http.StatusConflict, "PUT", s.Admin, "/api/v1/director/a?hostname=a"); !strings.Contains(body, "--state-dir") {
		t.Error(body)
	}
	must(t, http.StatusNotFound, "DELETE", s.Admin, "/api/v1/director/a")
	must(t, http.StatusNotFound, "GET", s.Admin, "/api/v1/director/a")
	if body := must(t, http.StatusOK, "GET", s.Admin, "/api/v1/director"); body != "{\"directors\":[]}\n" {
		t.Error(body)
	}
}

// TestDirectorsDamaged: a damaged file is named and put aside, and the program
// serves what is left; a directory that cannot be read is an error of the flag.
func TestDirectorsDamaged(t *testing.T) {
	dir := t.TempDir()
	files := filepath.Join(dir, ondemand.Directory)
	for name, text := range map[string]string{"good": "[ondemand]\nname = \"a\"\nhostname = \"h\"\n", "bad.toml": "[ondemand"} {
		if err := os.MkdirAll(files, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := invoke(t, nil, silent("--state-dir", dir)...)
	if r.code != exitOK || strings.Count(r.stderr, filepath.Join(files, "bad.toml")+".damaged") != 1 {
		t.Errorf("got %+v", r)
	}
	s := serve(t, "--state-dir", dir, "--livesync-interface", "none")
	if d := director(t, s.Admin, "a"); d.Hostname != "h" {
		t.Errorf("served %+v", d)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, ondemand.Directory), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, nil, silent("--state-dir", broken)...).wantUsageError(t, "--state-dir", ondemand.Directory)
}

// TestDirectorsKilled: what was answered as kept is there after a crash.
func TestDirectorsKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := program(t, "serve", "--http", "127.0.0.1:0", "--udp", "none", "--admin", "127.0.0.1:0", "--livesync-interface", "none", "--state-dir", dir, "--log-format", "json")
	first := awaitServing(t, startProgram(t, cmd))
	must(t, http.StatusCreated, "PUT", first.Admin, "/api/v1/director/films?hostname=films.example")
	cmd.Process.Kill()
	cmd.Wait()
	s := serve(t, "--state-dir", dir, "--livesync-interface", "none")
	if d := director(t, s.Admin, "films"); d.Hostname != "films.example" {
		t.Errorf("served %+v", d)
	}
}
