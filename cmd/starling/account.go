package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// account is the user as whom the program serves, when root starts it so that it can bind low ports:
//
//	as root      bind the sockets, make the state directory and give it to the user
//	drop         the groups, the group and the user, of all threads and for good
//	as the user  read what stands in the state directory and in the lists, serve, read all of it again, upgrade
//
// What the settings name is read again at SIGHUP and at an upgrade, so that the user must be able to read it: that is looked at before a
// socket opens.
type account struct {
	name     string // empty: the program stays who it is
	uid, gid int
	groups   []int
}

// findAccount looks a user up.
func findAccount(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fmt.Errorf("this host has no user %q; useradd --system --no-create-home %s makes one", name, name)
	}
	ids, err := u.GroupIds()
	if err != nil {
		ids = nil // then its own group has to do
	}
	a := account{name: name}
	for i, id := range append([]string{u.Uid, u.Gid}, ids...) {
		number, err := strconv.Atoi(id)
		switch {
		case err != nil:
			return account{}, fmt.Errorf("%q has the id %s, which is no number", name, id)
		case i == 0:
			a.uid = number
		case i == 1:
			a.gid, a.groups = number, []int{number}
		case !slices.Contains(a.groups, number):
			a.groups = append(a.groups, number)
		}
	}
	if a.uid == 0 {
		return account{}, fmt.Errorf("%q is root: nothing would be given up; name another user", name)
	}
	return a, nil
}

// drops reports whether the program is to become that user. It is an error when it cannot.
func (a *account) drops() (bool, error) {
	switch me := os.Geteuid(); {
	case a.name == "" || me == a.uid:
		return false, nil
	case me != 0:
		return false, fmt.Errorf("only root can become %s, this is the user with the id %d: start it as root, or leave it out", a.name, me)
	}
	return true, nil
}

// open opens the files and the sockets of a node: the sockets first where it is to become another user, else last, when nothing else is wrong.
func (n *node) open(iface string) (who *identity, err error) {
	drops, err := n.cfg.user.drops()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.cfg.where("user"), err)
	}
	if drops {
		if err := n.becomeUser(iface); err != nil {
			return nil, err
		}
	}
	if who, err = findIdentity(n.cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", n.cfg.where("state-dir"), err)
	}
	if n.lists, err = newLists(n.cfg, n.log, &n.events); err != nil {
		return nil, err
	}
	if n.abusers != nil && n.abusers.Jails() {
		n.lists.jailed = n.jailed
	}
	if n.certificate, err = openCertificate(n.cfg, n.certificateNews); err != nil || drops {
		return who, err
	}
	return who, n.openSockets(iface)
}

// becomeUser does what root is needed for, and is root no more.
func (n *node) becomeUser(iface string) error {
	if err := n.cfg.checkUser(); err != nil {
		return err
	}
	if err := n.cfg.user.give(n.cfg.stateDir); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.where("state-dir"), err)
	}
	if err := n.openSockets(iface); err != nil {
		return err
	}
	if err := n.cfg.user.drop(); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.where("user"), err)
	}
	return nil
}

// openSockets binds the sockets of the servers and joins the group.
func (n *node) openSockets(iface string) error {
	if err := n.listen(); err != nil {
		return err
	}
	return n.joinGroup(iface)
}

// drop makes the program that user, all its threads. There is no way back, which is tried.
func (a *account) drop() error {
	for _, step := range []struct {
		call string
		err  func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(a.groups) }},
		{"setgid", func() error { return syscall.Setgid(a.gid) }},
		{"setuid", func() error { return syscall.Setuid(a.uid) }},
	} {
		if err := step.err(); err != nil {
			return fmt.Errorf("the program cannot become %s: %w", a.name, os.NewSyscallError(step.call, err))
		}
	}
	real, effective, saved := unix.Getresuid()
	var held [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &held[0])
	switch {
	case err != nil:
		return os.NewSyscallError("capget", err)
	case real != a.uid || effective != a.uid || saved != a.uid || syscall.Setuid(0) == nil:
		return fmt.Errorf("the program became %s and could be root again", a.name)
	case held[0].Permitted|held[1].Permitted|held[0].Effective|held[1].Effective != 0:
		return fmt.Errorf("the program became %s and kept capabilities of root", a.name)
	}
	return nil
}

// try calls f in a thread that looks at files as that user does. The thread ends with it.
func (a *account) try(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: nothing else is to run in it
		err := unix.Setgroups(a.groups)
		if err == nil {
			err = unix.Setfsgid(a.gid)
		}
		if err == nil {
			err = unix.Setfsuid(a.uid) // which takes the capabilities that overrule the modes of files
		}
		if err != nil {
			err = fmt.Errorf("what %s may read is not known: %w", a.name, err)
		} else {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// namedFiles are the options whose value is a file, or a list of files, that is read again.
var namedFiles = []string{"tls-cert", "tls-key", "admin-token-file", "allow", "deny", "deny-client", "passkeys", "cluster-key-file"}

// files returns what is read again while the program runs: where it was named, and the path.
func (c *config) files() (files [][2]string) {
	if c.path != "" {
		files = append(files, [2]string{"--config", c.path})
	}
	for _, name := range namedFiles {
		for _, path := range c.given[name].values {
			files = append(files, [2]string{c.where(name), path})
		}
	}
	return files
}

// checkUser reports why the program could not go on as the user it is to become, before it does.
func (c *config) checkUser() error {
	a := &c.user
	if err := a.owns(c.stateDir); err != nil {
		return fmt.Errorf("%s: %w", c.where("state-dir"), err)
	}
	return a.try(func() error {
		for _, file := range c.files() {
			f, err := os.OpenFile(file[1], os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return fmt.Errorf("%s: user %s reads it again at SIGHUP and may not: %w; chgrp %d and chmod g+r let it, g+x for directories", file[0], a.name, err, a.gid)
			}
			f.Close()
		}
		return nil
	})
}

// owns reports that a state directory, or something in it, belongs to somebody else. One that is not there is made later.
func (a *account) owns(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	paths := []string{dir}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "audit.log.") { // old ones, which logrotate may have made its own
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if path == dir {
			info, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != a.uid {
			return fmt.Errorf("%s does not belong to %s: chown -R %s: %s", path, a.name, a.name, dir)
		}
	}
	return nil
}

// give makes a state directory that is missing and gives it to the user, who must be able to reach it.
func (a *account) give(dir string) error {
	if dir == "" {
		return nil
	}
	_, err := os.Lstat(dir)
	missing := errors.Is(err, fs.ErrNotExist)
	if err := makeStateDir(dir); err != nil {
		return err
	}
	if missing {
		if err := os.Lchown(dir, a.uid, a.gid); err != nil {
			return err
		}
	}
	return a.try(func() error {
		if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			return fmt.Errorf("user %s cannot write to %s: %w; the directories above must let it through, too", a.name, dir, err)
		}
		return nil
	})
}
