package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// systemPaths are read by the libraries of this program and by Go, when they are asked for something: names and addresses of hosts,
// authorities of TLS, time zones, what the kernel says of this process and of the network. They are whole directories, since a file that
// is replaced is another one to Landlock.
var systemPaths = []string{"/etc", "/lib", "/lib64", "/proc", "/sys", "/usr"}

// writes is what may be done in the state directory.
const writes = landlocksys.AccessFSReadFile | landlocksys.AccessFSReadDir | landlocksys.AccessFSWriteFile | landlocksys.AccessFSTruncate |
	landlocksys.AccessFSMakeReg | landlocksys.AccessFSRemoveFile

// confine takes from this process, with --user, every path that it does not need, where the kernel has Landlock. What this process may open
// from then on, and every program that it becomes:
//
//	the state directory                                             read and write, execute nothing
//	the directories of the files that the settings name             read
//	the directory of the program, for an upgrade                    read and execute
//	those of the system                                             read and execute
//
// A process before this one may have done so already; layers are few, so that none is put upon it.
func (n *node) confine() error {
	if n.cfg.user.name == "" {
		return nil
	}
	if n.cfg.handed.confines() {
		n.confined = true
		n.log.Info().Msg("Landlock: goes on as the program before left it")
		return nil
	}
	version, err := landlocksys.LandlockGetABIVersion()
	if err != nil || version < 1 {
		n.log.Info().Str("user", n.cfg.user.name).Msg("Landlock: this kernel does not have it, the rights of the user are all that bounds which files are opened")
		return nil
	}
	read, write := n.cfg.readable(), n.cfg.writable()
	err = landlock.V5.BestEffort().RestrictPaths(
		landlock.RODirs(read...).IgnoreIfMissing(),
		landlock.PathAccess(landlock.AccessFSSet(writes), write...),
		landlock.RWFiles("/dev/null").IgnoreIfMissing(),
		landlock.ROFiles("/dev/random", "/dev/urandom").IgnoreIfMissing(),
	)
	if err != nil {
		return err
	}
	n.confined = true
	n.log.Info().Str("user", n.cfg.user.name).Int("abi", version).Strs("read", read).Strs("write", write).Msg("Landlock: no other files can be opened")
	return nil
}

// writable returns the directories that are written to.
func (c *config) writable() []string {
	if c.stateDir == "" {
		return nil
	}
	return []string{c.stateDir}
}

// readable returns the directories that are read, sorted: of a link those of the link and of what it points to.
func (c *config) readable() []string {
	dirs := slices.Clone(systemPaths)
	files := []string{"/etc/resolv.conf"}
	if self, err := os.Executable(); err == nil {
		files = append(files, self)
	}
	for _, file := range c.files() {
		files = append(files, file[1])
	}
	for _, path := range files {
		dirs = append(dirs, filepath.Dir(path))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
