package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"starling/livesync/edits"
	"starling/tracker/access"
	"starling/wire"
)

const (
	// removalKept is for how long a removal is remembered of what stands in no file here. A node that was away for longer may bring it back.
	removalKept = 90 * 24 * time.Hour
	// Bounds of a page of entries.
	pageEntries    = 100
	maxPageEntries = 1000
)

// entryStatus is a change of a list in the API.
type entryStatus struct {
	Key    string     `json:"key"` // a passkey is shown as digest:... only
	Op     string     `json:"op"`  // add or remove
	Time   time.Time  `json:"time"`
	Node   string     `json:"node"` // that made it
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// listAnswer is what GET of a list answers: the changes that came through the API, a page of them.
type listAnswer struct {
	List        string        `json:"list"`
	File        string        `json:"file,omitempty"`
	FileEntries int           `json:"file_entries"`
	Changes     int           `json:"changes"`
	Entries     []entryStatus `json:"entries"`
	Next        string        `json:"next,omitempty"` // for after=, when there are more
}

// entryAnswer is what GET, PUT and DELETE of an entry answer.
type entryAnswer struct {
	List   string       `json:"list"`
	Key    string       `json:"key"`
	Listed bool         `json:"listed"`  // it is on the list, as things stand
	InFile bool         `json:"in_file"` // of this node
	Change *entryStatus `json:"change"`  // the latest one through the API of any node; null: none

	// Of PUT and DELETE.
	Shared *bool  `json:"shared,omitempty"` // the other nodes are told
	Kept   *bool  `json:"kept,omitempty"`   // it outlasts a restart of this node
	Note   string `json:"note,omitempty"`
}

// listOf is a kind of list as the API reads its keys.
type listOf struct {
	kind edits.Kind
	flag string // of its file
	need bool   // without the file there is no such list
	key  func(text string) (edits.Key, error)
}

var listsByName = map[string]listOf{
	"deny":        {edits.Deny, "deny", false, hashKey},
	"allow":       {edits.Allow, "allow", true, hashKey},
	"deny-client": {edits.Client, "deny-client", false, clientKey},
	"passkeys":    {edits.Passkey, "passkeys", true, passkeyKey},
}

func hashKey(text string) (edits.Key, error) {
	h, err := wire.ParseInfoHash(text)
	return edits.Key(h), err
}

func clientKey(text string) (k edits.Key, err error) {
	p, err := access.ParsePrefix(text)
	if err != nil {
		return k, err
	}
	return edits.PrefixKey(p), nil
}

// digestMark is how the API names a passkey that it does not show.
const digestMark = "digest:"

func passkeyKey(text string) (k edits.Key, err error) {
	if digits, ok := strings.CutPrefix(text, digestMark); ok {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != len(k) {
			return k, fmt.Errorf("%s is followed by 40 hexadecimal digits", digestMark)
		}
		return edits.Key(b), nil
	}
	if err := access.ValidKey([]byte(text)); err != nil {
		return k, err
	}
	return edits.Key(access.DigestOf([]byte(text))), nil
}

// keyText returns a key as the API shows it.
func keyText(kind edits.Kind, k edits.Key) string {
	switch kind {
	case edits.Client:
		if p, ok := edits.Prefix(k); ok {
			return p.String()
		}
	case edits.Passkey:
		return digestMark + hex.EncodeToString(k[:])
	}
	return hex.EncodeToString(k[:])
}

func entryStatusOf(e *edits.Entry) entryStatus {
	x := entryStatus{Key: keyText(e.Kind, e.Key), Op: "add", Time: time.Unix(0, int64(e.Time)).UTC(), Node: e.Node.String(), Reason: e.Reason}
	if e.Op == edits.Remove {
		x.Op = "remove"
	}
	if e.End != 0 {
		until := time.Unix(e.End, 0).UTC()
		x.Until = &until
	}
	return x
}

// listRoutes adds the paths of the lists. Whose passkeys there are is nothing for all who reach the address.
func (n *node) listRoutes(mux *http.ServeMux) {
	for name := range listsByName {
		path := "/api/v1/" + name
		look := func(next http.HandlerFunc) http.HandlerFunc { return next }
		if name == "passkeys" {
			look = func(next http.HandlerFunc) http.HandlerFunc { return n.guard.insiders(next, n.guard.readOnly) }
		}
		mux.HandleFunc("GET "+path, look(n.onList(name, n.serveList)))
		mux.HandleFunc("GET "+path+"/{key...}", look(n.onList(name, n.serveEntry)))
		for _, method := range []string{"PUT ", "DELETE "} {
			mux.HandleFunc(method+path, n.onList(name, n.changeEntry))
			mux.HandleFunc(method+path+"/{key...}", n.onList(name, n.changeEntry))
		}
	}
}

// onList hands a request over with its list, and refuses one of a list that this node does not have.
func (n *node) onList(name string, next func(http.ResponseWriter, *http.Request, listOf)) http.HandlerFunc {
	of := listsByName[name]
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := n.lists.fileOf(of.flag); of.need && !ok {
			http.Error(w, fmt.Sprintf("this node has no such list: start it with --%s FILE, which may be empty", of.flag), http.StatusConflict)
			return
		}
		next(w, r, of)
	}
}

// serveList answers with a page of the changes of a list.
func (n *node) serveList(w http.ResponseWriter, r *http.Request, of listOf) {
	values, err := onlyValues(r.URL.RawQuery, "after", "limit")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	limit, after := pageEntries, (*edits.Key)(nil)
	if text := values["limit"]; text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPageEntries {
			http.Error(w, fmt.Sprintf("limit: %q is not between 1 and %d", text, maxPageEntries), http.StatusBadRequest)
			return
		}
	}
	if text := values["after"]; text != "" {
		k, err := of.key(text)
		if err != nil {
			http.Error(w, "after: "+err.Error(), http.StatusBadRequest)
			return
		}
		after = &k
	}
	answer := listAnswer{List: listNames[of.kind], Changes: n.lists.machine.Len(of.kind), Entries: []entryStatus{}}
	if f, ok := n.lists.fileOf(of.flag); ok {
		answer.File, answer.FileEntries = f.path, f.entries
	}
	page := n.lists.machine.Page(of.kind, after, limit)
	for i := range page {
		answer.Entries = append(answer.Entries, entryStatusOf(&page[i]))
	}
	if len(page) == limit {
		answer.Next = answer.Entries[limit-1].Key
	}
	serveJSON(w, http.StatusOK, answer)
}

// serveEntry answers whether something is on a list, and why.
func (n *node) serveEntry(w http.ResponseWriter, r *http.Request, of listOf) {
	k, err := of.key(r.PathValue("key"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serveJSON(w, http.StatusOK, n.entryAnswer(of, k))
}

func (n *node) entryAnswer(of listOf, k edits.Key) entryAnswer {
	a := entryAnswer{List: listNames[of.kind], Key: keyText(of.kind, k), InFile: n.lists.inFile(of.kind, k)}
	a.Listed = a.InFile
	if e, ok := n.lists.machine.Get(of.kind, k); ok && !e.Ended(time.Now()) {
		a.Listed = e.Op == edits.Add
		change := entryStatusOf(&e)
		a.Change = &change
	}
	return a
}

// changeEntry adds something to a list, or takes it off, on all nodes.
func (n *node) changeEntry(w http.ResponseWriter, r *http.Request, of listOf) {
	now := time.Now()
	e := edits.Entry{Kind: of.kind, Op: edits.Add}
	if r.Method == http.MethodDelete {
		e.Op = edits.Remove
	}
	text, note, err := entryNamed(r, of)
	if err == nil {
		e.Key, err = of.key(text)
	}
	if err == nil {
		err = n.entryValues(now, &e, r.URL.RawQuery)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, kept, err := n.lists.edit(now, n.livesync.Status().ID, e, auditorOf(r))
	switch {
	case errors.Is(err, edits.ErrFull):
		http.Error(w, fmt.Sprintf("%v: %d entries are the most", err, edits.DefaultMost), http.StatusInsufficientStorage)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a, shared := n.entryAnswer(of, e.Key), n.livesync.SharesEdits()
	a.Shared, a.Kept = &shared, &kept
	switch {
	case !shared && !kept:
		a.Note = "only this node knows, until it is restarted: nodes share changes when they have a cluster key, and keep them in a state directory"
	case !shared:
		a.Note = "only this node knows: nodes share changes when they have a cluster key"
	case !kept:
		a.Note = "a restart of this node forgets it, unless another node knows it: it is kept in a state directory"
	}
	a.Note = strings.TrimPrefix(a.Note+note, "; ")
	serveJSON(w, http.StatusOK, a)
}

// mostEntryText is how long an entry is at most in the body of a request.
const mostEntryText = 256

// entryNamed returns which entry a request to change one names, in its path or, so that no log of a proxy has it, in its body; and what is to be said
// of that.
func entryNamed(r *http.Request, of listOf) (text, note string, err error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, mostEntryText+1))
	if err != nil {
		return "", "", err
	}
	body := strings.TrimRight(string(b), "\r\n")
	text = r.PathValue("key")
	switch {
	case body == "" && text == "":
		return "", "", errors.New("no entry: it stands at the end of the path, or is the body of the request")
	case body == "":
		if of.kind == edits.Passkey && !strings.HasPrefix(text, digestMark) {
			note = "; the passkey stood in the path, which proxies may log: send it as the body of a request to /api/v1/passkeys"
		}
		return text, note, nil
	case text != "":
		return "", "", errors.New("two entries: one at the end of the path, one in the body of the request")
	case len(b) > mostEntryText:
		return "", "", fmt.Errorf("the body is one entry, of up to %d bytes", mostEntryText)
	}
	return body, "", nil
}

// entryValues reads what a change says beside its key: for=D or until=DAY, and reason=TEXT, which is name=TEXT of a passkey.
func (n *node) entryValues(now time.Time, e *edits.Entry, query string) error {
	text := "reason"
	if e.Kind == edits.Passkey {
		text = "name"
	}
	values, err := onlyValues(query, "for", "until", text)
	if err != nil {
		return err
	}
	switch {
	case values["for"] != "" && values["until"] != "":
		return errors.New("for and until: give one of the two")
	case values["for"] != "":
		d, err := time.ParseDuration(values["for"])
		if err != nil || d < time.Second {
			return fmt.Errorf("for: %q is not a duration such as 90m or 24h", values["for"])
		}
		e.End = now.Add(d).Unix()
	case values["until"] != "":
		until, dated, err := access.ParseUntil(values["until"])
		if err == nil && (!dated || !until.After(now)) {
			err = fmt.Errorf("%q is no day to come, such as 2027-12-31, nor a time such as 2027-12-31T18:00:00Z", values["until"])
		}
		if err != nil {
			return fmt.Errorf("until: %w", err)
		}
		e.End = until.Unix()
	case e.Op == edits.Remove && !n.lists.inFile(e.Kind, e.Key):
		e.End = now.Add(removalKept).Unix()
	}
	if e.Reason = values[text]; len(e.Reason) > wire.MaxEditReason || e.Reason != eventText(e.Reason) {
		return fmt.Errorf("%s: up to %d printable ASCII characters", text, wire.MaxEditReason)
	}
	return nil
}

// onlyValues reads a query that may have these values, each once.
func onlyValues(query string, names ...string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	only := make(map[string]string)
	for _, name := range names {
		if len(values[name]) > 1 {
			return nil, fmt.Errorf("%s: given %d times", name, len(values[name]))
		}
		only[name] = values.Get(name)
		delete(values, name)
	}
	for name := range values {
		return nil, fmt.Errorf("%s: unknown, there is %s", name, strings.Join(names, ", "))
	}
	return only, nil
}

// inFile reports whether a key stands in the file of this node.
func (l *lists) inFile(kind edits.Kind, k edits.Key) bool {
	switch kind {
	case edits.Deny:
		h := wire.InfoHash(k)
		return l.access.DenyFile(&h)
	case edits.Allow:
		h := wire.InfoHash(k)
		return l.access.AllowFile(&h)
	case edits.Client:
		p, ok := edits.Prefix(k)
		return ok && l.access.ClientFile(p)
	case edits.Passkey:
		return l.access.KeyFile(access.Digest(k))
	}
	return false
}
