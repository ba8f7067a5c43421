package main

import (
	"fmt"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"starling/tracker/pacer"
)

// reloadOnHangup reads the configuration again at each SIGHUP until stop is called, which waits for what runs, though not for ever:
// the file may have become one that cannot be read to its end.
func (n *node) reloadOnHangup(read func() (*config, error)) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range hangups {
			tellReloading()
			n.reload(read())
			n.tellReady()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		select {
		case <-ended:
		case <-time.After(reloadPatience):
		}
	}
}

// reloadPatience is for how long the end of the program waits for a configuration that is being read.
const reloadPatience = time.Second

// reload puts in force what can be changed while the node runs, one line of the log for each, and names what only a restart can change:
//
//	read   the configuration, the token, the keys, the lists, the certificate --- anything is wrong --> nothing changes
//	judge  uplink, classes ------------------------------------------------------------------------'
//	apply  the lists, the certificate, the admin address's rules
func (n *node) reload(cfg *config, err error) {
	n.lists.reading.Lock()
	defer n.lists.reading.Unlock()
	now := time.Now()
	var update listUpdate
	if err == nil {
		var faults []error
		update, faults = readLists(cfg)
		err = first(faults)
	}
	var renewed *certificate
	if err == nil {
		renewed, err = openCertificate(cfg, n.certificateNews)
	}
	if err != nil {
		n.refuseReload(now, "the configuration was read again and is wrong", err)
		return
	}
	undo, err := n.reloadUplink(now, cfg)
	if err != nil {
		n.refuseReload(now, "the configuration was read again and its uplink is refused", err)
		return
	}
	if err := n.reloadClasses(now, cfg); err != nil {
		undo()
		n.refuseReload(now, "the configuration was read again and its classes are refused", err)
		return
	}
	n.events.add(now, eventReload, "the configuration was read again")
	n.lists.replace(now, update)
	n.certificate.replace(renewed)
	if n.guard.rule(cfg.adminHosts, cfg.adminToken) {
		n.log.Info().Msg("the configuration was read again: another token or other names are in force at the admin address")
	}
	for _, text := range cfg.warnings(n.iface) {
		if !slices.Contains(n.cfg.warnings(n.iface), text) {
			n.log.Warn().Msg(text)
		}
	}
	n.nameRest(now, cfg)
}

// refuseReload says why a configuration that was read again changes nothing.
func (n *node) refuseReload(now time.Time, what string, err error) {
	err = n.explain(err)
	n.log.Error().Err(err).Msg(what + ": nothing changes")
	n.events.add(now, eventNoReload, what+": "+err.Error())
}

// reloadable are the settings that reload puts in force; uplink is, too, while one is shared.
var reloadable = []string{"admin-token-file", "admin-host", "allow", "deny", "deny-client", "passkeys", "tls-cert", "tls-key"}

// nameRest names what is set otherwise and only a restart puts in force.
func (n *node) nameRest(now time.Time, cfg *config) {
	later := slices.DeleteFunc(changed(n.cfg.given, cfg.given), func(name string) bool {
		return slices.Contains(reloadable, name) || name == "uplink" && n.cfg.uplink > 0 && cfg.uplink > 0
	})
	if !slices.Contains(later, "cluster-key-file") && !slices.Equal(n.cfg.keys, cfg.keys) {
		later = append(later, "cluster-key-file") // the same file with other keys
	}
	if len(later) > 0 {
		n.log.Warn().Strs("settings", later).Msg("settings were changed that only a restart puts in force")
		n.events.add(now, eventReload, "only a restart puts in force: "+strings.Join(later, ", "))
	}
}

// reloadUplink puts another uplink in force, to be shared by the same nodes. Undo puts the one before back.
func (n *node) reloadUplink(now time.Time, cfg *config) (undo func(), err error) {
	was := n.steering.state(now).total
	if n.cfg.uplink == 0 || cfg.uplink == 0 || was == cfg.uplink {
		return func() {}, nil
	}
	if err := n.steering.setUplink(now, cfg.uplink); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.where("uplink"), err)
	}
	n.log.Info().Int64("bytes_per_second", cfg.uplink).Msg("the configuration was read again: another uplink is shared")
	return func() {
		if err := n.steering.setUplink(now, was); err == nil { // it was in force a moment ago
			n.log.Info().Int64("bytes_per_second", was).Msg("the uplink is shared as before")
		}
	}, nil
}

// reloadClasses puts other classes in force, or those that are built in when the file has none any more.
func (n *node) reloadClasses(now time.Time, cfg *config) error {
	if reflect.DeepEqual(cfg.classes.list, n.classes.list) {
		n.log.Info().Msg("the configuration was read again: the classes are as they were")
		return nil
	}
	list := cfg.classes.list
	if len(list) == 0 {
		list = pacer.WanClasses()
	}
	if err := n.steering.setClasses(now, list); err != nil {
		return err
	}
	n.classes = cfg.classes
	n.log.Info().Int("classes", len(list)).Msg("the configuration was read again: its classes are in force")
	return nil
}

// changed returns the names of the options that two configurations give different values, sorted.
func changed(was, is map[string]setting) []string {
	names := make(map[string]bool)
	for name, s := range was {
		names[name] = !slices.Equal(s.values, is[name].values)
	}
	for name := range is {
		if _, ok := was[name]; !ok {
			names[name] = true
		}
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}
