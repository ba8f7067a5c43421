package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"starling/cmd/starling/dashboard"
	"starling/tracker/sibling"
)

// Bounds of the admin address. A profile takes as long as it is asked to, so an answer may.
const (
	adminConnections = 256
	adminHeader      = 5 * time.Second
	adminAnswer      = 75 * time.Second
	adminIdle        = time.Minute
	adminHeaderBytes = 8 << 10
	adminDrain       = 2 * time.Second // for requests in hand at the end
)

// listenAdmin binds the admin address, without multipath TCP, which port rules of the system's sandboxes do not see, or takes a socket that
// was handed over. One of IPv4 is not reached over IPv6.
func listenAdmin(addr string, given *handed) (*net.TCPListener, error) {
	var ln net.Listener
	var err error
	if files := given.take("admin", addr); len(files) > 0 {
		ln, err = net.FileListener(files[0])
		closeAll(files)
	} else {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		network := "tcp"
		if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
			network = "tcp4"
		}
		ln, err = lc.Listen(context.Background(), network, addr)
	}
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, errors.New("the socket that was handed over is not a listening TCP socket")
	}
	return tcp, nil
}

// serveAdmin answers on the admin address until ctx ends.
func (n *node) serveAdmin(ctx context.Context) error {
	srv := &http.Server{
		Handler:           n.guard.protect(n.adminMux()),
		ReadHeaderTimeout: adminHeader,
		ReadTimeout:       adminHeader,
		WriteTimeout:      adminAnswer,
		IdleTimeout:       adminIdle,
		MaxHeaderBytes:    adminHeaderBytes,
		ErrorLog:          log.New(n.log, "admin: ", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience := adminDrain
		if n.handsOver() {
			patience = 0 // clients wait for announces
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(n.admin)
	if stop() {
		return err // not our doing
	}
	<-stopped
	return nil
}

// adminMux returns the paths of the admin address. It is a mux of our own: the
// default one holds whatever any imported package has put there. [guard] stands before it and lets only an operator
// change anything. Profiles show what the process does and cost it time, so they are not for all who reach the address.
func (n *node) adminMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", n.serveHealth)
	mux.HandleFunc("GET /readyz", n.serveReady)
	mux.HandleFunc("GET /metrics", n.serveMetrics)
	mux.Handle("GET "+statusPath, n.statusPage)
	mux.HandleFunc("GET /api/v1/events", n.serveEvents)
	mux.HandleFunc("GET "+historyPath, n.serveHistory)
	mux.Handle("GET "+livePath, n.hub)
	mux.HandleFunc("GET /api/v1/limit", n.serveLimit)
	mux.HandleFunc("PUT /api/v1/limit", n.putLimit)
	mux.HandleFunc("DELETE /api/v1/limit", n.deleteLimit)
	n.listRoutes(mux)
	mux.HandleFunc("GET /api/v1/jail", n.serveJail)
	mux.HandleFunc("GET /api/v1/director", n.serveDirectors)
	mux.HandleFunc("GET /api/v1/director/{$}", n.serveDirectors)
	mux.HandleFunc("GET /api/v1/director/{name}", n.serveDirector)
	mux.HandleFunc("PUT /api/v1/director/{name}", n.putDirector)
	mux.HandleFunc("DELETE /api/v1/director/{name}", n.deleteDirector)
	dashboard.Register(mux)
	for path, profile := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("GET /debug/pprof/"+path, n.guard.profiles(profile))
	}
	return mux
}

// isLoopback reports whether only this host can reach an address.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// serveHealth says whether this node should be sent requests: not while it drains. A header tells its siblings when it
// has no tokens for the clients of others.
func (n *node) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if n.phase.Load() == phaseDraining {
		serveWord(w, http.StatusServiceUnavailable, phaseNames[phaseDraining])
		return
	}
	if !n.steering.hasRoom(time.Now()) {
		w.Header().Set(sibling.RoomHeader, sibling.NoRoom)
	}
	serveWord(w, http.StatusOK, "ok")
}

// ready reports whether this node serves and has caught up with the others.
func (n *node) ready() bool { return n.phase.Load() == phaseReady && n.livesync.CaughtUp() }

// serveReady says whether this node serves.
func (n *node) serveReady(w http.ResponseWriter, _ *http.Request) {
	word, code := phaseNames[n.phase.Load()], http.StatusServiceUnavailable
	switch {
	case n.ready():
		code = http.StatusOK
	case n.phase.Load() == phaseReady:
		word = "catching-up"
	}
	serveWord(w, code, word)
}

func serveWord(w http.ResponseWriter, code int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, word)
}

// writeJSON writes v on one line. An error means that the reader has gone.
func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func (n *node) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	now := time.Now()
	w.Write(n.figures(now).page(now))
}
