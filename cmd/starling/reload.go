package main

import (
	"maps"
	"os"
	"os/signal"
	"reflect"
	"slices"
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
			n.certificate.check(true)
			n.reload(read())
			n.lists.reread(time.Now(), true)
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

// reload puts in force what can be changed while the node runs: the classes, and how much uplink there is to share. Whatever
// is wrong with a configuration, all of it stays as it was; what only a restart can change is named.
func (n *node) reload(cfg *config, err error) {
	if err != nil {
		n.log.Error().Err(err).Msg("the configuration was read again and is wrong: nothing changes")
		n.events.add(time.Now(), eventNoReload, "the configuration was read again and is wrong: "+err.Error())
		return
	}
	if reflect.DeepEqual(cfg.classes.list, n.classes.list) {
		n.log.Info().Msg("the configuration was read again: the classes are as they were")
	} else if err := n.reloadClasses(cfg); err != nil {
		n.log.Error().Err(err).Msg("the configuration was read again and its classes are refused: nothing changes")
		n.events.add(time.Now(), eventNoReload, "the configuration was read again and its classes are refused: "+err.Error())
		return
	}
	n.events.add(time.Now(), eventReload, "the configuration was read again")
	if n.guard.rule(cfg.adminHosts, cfg.adminToken) {
		n.log.Info().Msg("the configuration was read again: another token or other names are in force at the admin address")
	}
	if cfg.tokenWarning != "" {
		n.log.Warn().Msg(cfg.tokenWarning)
	}
	later := slices.DeleteFunc(changed(n.cfg.given, cfg.given), func(name string) bool { return name == "admin-token-file" || name == "admin-host" })
	if n.cfg.uplink > 0 && cfg.uplink > 0 {
		n.reloadUplink(cfg.uplink)
		later = slices.DeleteFunc(later, func(name string) bool { return name == "uplink" })
	}
	if len(later) > 0 {
		n.log.Warn().Strs("settings", later).Msg("settings were changed that only a restart puts in force")
	}
}

// reloadUplink puts another uplink in force, to be shared by the same nodes.
func (n *node) reloadUplink(total int64) {
	now := time.Now()
	if n.steering.state(now).total == total {
		return
	}
	if err := n.steering.setUplink(now, total); err != nil {
		n.log.Error().Err(err).Msg("the configuration was read again, and the rate stays as it is")
		return
	}
	n.log.Info().Int64("bytes_per_second", total).Msg("the configuration was read again: another uplink is shared")
}

// reloadClasses puts other classes in force, or those that are built in when the file has none any more.
func (n *node) reloadClasses(cfg *config) error {
	list := cfg.classes.list
	if len(list) == 0 {
		list = pacer.WanClasses()
	}
	if err := n.steering.setClasses(time.Now(), list); err != nil {
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
