package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestChanging: only a program on this host changes anything.
func TestChanging(t *testing.T) {
	for _, tt := range []struct {
		admin, from, origin string
		want                int
	}{
		{"127.0.0.1:0", "127.0.0.1:4711", "", http.StatusNoContent},
		{"127.0.0.1:0", "[::1]:4711", "", http.StatusNoContent},
		{"127.0.0.1:0", "[::ffff:127.0.0.1]:4711", "", http.StatusNoContent},
		{"127.0.0.1:0", "10.0.0.1:4711", "", http.StatusForbidden},
		{"127.0.0.1:0", "", "", http.StatusForbidden},
		{"127.0.0.1:0", "127.0.0.1:4711", "http://127.0.0.1:6970", http.StatusForbidden},
		{"127.0.0.1:0", "127.0.0.1:4711", "null", http.StatusForbidden},
		{"127.0.0.1:0", "127.0.0.1:4711", "empty", http.StatusForbidden},
		{"0.0.0.0:0", "127.0.0.1:4711", "", http.StatusForbidden},
		{"[::]:0", "127.0.0.1:4711", "", http.StatusForbidden},
	} {
		n := testNode(t, map[string]setting{"admin": {"", []string{tt.admin}}})
		r := httptest.NewRequest("PUT", "/", nil)
		r.RemoteAddr = tt.from
		switch tt.origin {
		case "":
		case "empty":
			r.Header.Set("Origin", "")
		default:
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		n.changing(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })(w, r)
		if w.Code != tt.want {
			t.Errorf("%+v: got %d", tt, w.Code)
		}
	}
}
