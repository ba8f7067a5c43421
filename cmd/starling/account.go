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

	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// account is the user as whom the program serves, when root starts it so that it can bind low ports:
//
//	as root      may the user read what the settings name, and write to the state directory? It is made when it is missing
//	try          read and write all that, in a thread that has the user's rights to files
//	as root      bind the sockets
//	drop         the groups, the group and the user, of all threads and for good
//	as the user  serve, read all of it again, upgrade
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

// open opens the files of a node, and then its sockets. From then on it is the user that it is to become.
func (n *node) open(iface string) (who *identity, err error) {
	a := &n.cfg.user
	drops, err := a.drops()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.cfg.where("user"), err)
	}
	files := func() (err error) {
		who, err = n.openFiles()
		return err
	}
	if drops {
		err = n.cfg.checkUser()
		if err == nil {
			err = a.give(n.cfg.stateDir)
		}
		if err == nil {
			err = a.try(files)
		}
	} else {
		err = files()
	}
	if err == nil {
		err = n.openSockets(iface)
	}
	if err == nil && drops {
		if err = a.drop(); err != nil {
			err = fmt.Errorf("%s: %w", n.cfg.where("user"), err)
		}
	}
	return who, err
}

// openFiles opens what stands in the state directory, and reads the lists and the certificate.
func (n *node) openFiles() (*identity, error) {
	who, err := findIdentity(n.cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.cfg.where("state-dir"), err)
	}
	if n.lists, err = newLists(n.cfg, n.log, &n.events); err != nil {
		return nil, err
	}
	if n.abusers != nil && n.abusers.Jails() {
		n.lists.jailed = n.jailed
	}
	n.certificate, err = openCertificate(n.cfg, n.certificateNews)
	return who, err
}

// openSockets binds the sockets of the servers and joins the group.
func (n *node) openSockets(iface string) error {
	if err := n.listen(); err != nil {
		return err
	}
	return n.joinGroup(iface)
}

// drop makes the program that user, all its threads. There is no way back: neither by asking, which is tried, nor by a program that gives
// rights to whoever starts it.
func (a *account) drop() error {
	for _, step := range []struct {
		call string
		err  func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(a.groups) }},
		{"setgid", func() error { return syscall.Setgid(a.gid) }},
		{"setuid", func() error { return syscall.Setuid(a.uid) }},
		{"prctl", func() error { return landlocksys.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
	} {
		if err := step.err(); err != nil {
			return fmt.Errorf("the program cannot become %s: %w (it needs the capabilities CAP_SETUID and CAP_SETGID, which a container may not have)", a.name, os.NewSyscallError(step.call, err))
		}
	}
	var user, group [3]int
	user[0], user[1], user[2] = unix.Getresuid()
	group[0], group[1], group[2] = unix.Getresgid()
	var held [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &held[0])
	switch {
	case err != nil:
		return os.NewSyscallError("capget", err)
	case user != [3]int{a.uid, a.uid, a.uid} || group != [3]int{a.gid, a.gid, a.gid} || syscall.Setuid(0) == nil:
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

// owns reports that a state directory, or a file in it, belongs to somebody else. One that is not there is made later.
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
		if !e.IsDir() && !strings.HasPrefix(e.Name(), "audit.log.") { // not lost+found, nor old logs, which logrotate may have made its own
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
		// By its descriptor: whoever can write above it cannot put something else in its place meanwhile.
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		if err := unix.Fchown(fd, a.uid, a.gid); err != nil {
			return &fs.PathError{Op: "chown", Path: dir, Err: err}
		}
	}
	return a.try(func() error {
		if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			return fmt.Errorf("user %s cannot write to %s: %w; the directories above must let it through, too", a.name, dir, err)
		}
		return nil
	})
}
