package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"starling/livesync"
)

// checkCommand returns `starling check`: what serve would make of its settings.
func checkCommand() *cli.Command {
	file := configFlag()
	return &cli.Command{
		Name:  "check",
		Usage: "judge a configuration without starting",
		Description: `Takes what serve takes, from the same three places, and says everything that is
wrong with it, one line each, and exits with 2; else it says what is allowed and
probably not meant, and what would be served where. It opens no socket and
writes nothing, so that it can run beside the tracker, before it is told with
SIGHUP to read the file again:

   starling check --config starling.toml`,
		Flags: append([]cli.Flag{file}, flags(options(new(config)))...),
		Action: func(c *cli.Context) error {
			path, err := onlyFile(file.Value.(*recorder).values)
			if err != nil {
				return usagef("%w", err)
			}
			cfg, faults := readAllConfig(fromFlags(c), path)
			var iface string
			var warnings []string
			if cfg != nil {
				var wrong []error
				iface, warnings, wrong = cfg.judge(len(faults) == 0)
				faults = append(append(faults, wrong...), cfg.judgeTakeOver(os.Getenv(heldVariable))...)
			}
			for _, err := range faults {
				fmt.Fprintf(c.App.ErrWriter, "starling: %s\n", strings.Join(strings.Fields(err.Error()), " "))
			}
			if len(faults) > 0 {
				return cli.Exit("", exitUsage)
			}
			warnings = append(append(warnings, cfg.warnings(iface)...), cfg.surroundings()...)
			for _, text := range warnings {
				fmt.Fprintf(c.App.ErrWriter, "warning: %s\n", text)
			}
			cfg.describe(c.App.Writer, iface)
			return nil
		},
	}
}

// configFlag returns the flag that names the configuration file.
func configFlag() *optionFlag {
	return &optionFlag{
		GenericFlag: &cli.GenericFlag{
			Name:  "config",
			Usage: `Settings in a TOML file: peer-timeout = "45m", http = [":6969", ":80"].`,
			Value: new(recorder),
		},
		placeholder: "FILE",
	}
}

// judge looks at what the settings name on this host: files, directories, interfaces. Whole is false when some setting is wrong by itself: then
// they are not judged together.
func (c *config) judge(whole bool) (iface string, warnings []string, faults []error) {
	iface, warning, err := livesync.FindInterface(c.iface)
	if err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", c.where("livesync-interface"), err))
	}
	if warning != "" {
		warnings = append(warnings, warning)
	}
	if err := checkStateDir(c.stateDir); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", c.where("state-dir"), err))
	}
	if drops, err := c.user.drops(); drops && err == nil { // who may not become that user may look at the rest
		if err := c.checkUser(); err != nil {
			faults = append(faults, err)
		}
	}
	_, wrong := readLists(c)
	faults = append(faults, wrong...)
	if _, err := openCertificate(c, nil); err != nil {
		faults = append(faults, err)
	}
	if info, err := os.Stat(c.tlsKey); c.tlsKey != "" && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		warnings = append(warnings, fmt.Sprintf("%s: %s can be read by other users of this host: chmod 600 %s", c.where("tls-key"), c.tlsKey, c.tlsKey))
	}
	for _, flag := range c.listens() {
		for _, addr := range flag.addrs {
			if err := checkAddress(addr); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", c.where(flag.name), err))
			}
		}
	}
	if !whole {
		return iface, warnings, faults
	}
	now := time.Now()
	if _, err := newSteering(c, zerolog.Nop(), nil, now); err != nil {
		faults = append(faults, err)
	}
	if _, err := newLaneBudget(c, now); err != nil {
		faults = append(faults, err)
	}
	return iface, warnings, faults
}

// listening is a flag whose values are addresses to serve on.
type listening struct {
	name  string
	addrs []string
}

// listens returns them all.
func (c *config) listens() []listening {
	return []listening{{"http", c.http}, {"https", c.https}, {"udp", c.udp}, {"admin", c.admin}}
}

// checkStateDir reports why a state directory could not be used, as far as looking tells.
func checkStateDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		parent := filepath.Dir(filepath.Clean(dir))
		if info, err = os.Stat(parent); err != nil {
			return err
		}
		dir = parent
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil && os.Getuid() != 0 {
		return fmt.Errorf("%s cannot be written to: %w", dir, err)
	}
	return nil
}

// checkAddress reports that this host does not have an address. It opens no socket.
func checkAddress(addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || ap.Addr().IsUnspecified() || ap.Addr().IsLoopback() {
		return nil
	}
	has, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then nobody can say
	}
	for _, a := range has {
		if ipn, ok := a.(*net.IPNet); ok && ipn.IP.Equal(net.IP(ap.Addr().AsSlice())) {
			return nil
		}
	}
	return fmt.Errorf("%s: this host does not have the address (ip addr lists those it has)", addr)
}

// leastReceive is the receive buffer below which a pause of a tenth of a second at 10,000 packets a second loses some.
const leastReceive = 1 << 20

// surroundings returns what about this host does not go well with the settings.
func (c *config) surroundings() (texts []string) {
	for _, addr := range c.admin {
		if host, _, err := net.SplitHostPort(addr); err == nil && c.adminToken == (adminToken{}) {
			if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
				texts = append(texts, fmt.Sprintf("%s: other hosts reach %s and there is no admin-token-file: it serves no changes and no profiles, and shows all else to anybody", c.where("admin"), addr))
			}
		}
	}
	var host unix.Sysinfo_t
	if unix.Sysinfo(&host) == nil {
		if total := int64(host.Totalram) * int64(host.Unit); c.memoryLimit > total {
			texts = append(texts, fmt.Sprintf("%s: %d MiB are more than the %d MiB that this machine has", c.where("memory-limit"), c.memoryLimit>>20, total>>20))
		}
	}
	if most := readNumber("/proc/sys/net/core/rmem_max"); len(c.udp) > 0 && most > 0 && most < leastReceive {
		texts = append(texts, fmt.Sprintf("net.core.rmem_max is %d: bursts of UDP packets are lost that a larger buffer holds; sysctl -w net.core.rmem_max=4194304", most))
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && len(c.http) > 0 && files.Max < 4096 {
		texts = append(texts, fmt.Sprintf("this process may have %d open files, which bounds the connections of HTTP clients; ulimit -n 65536", files.Max))
	}
	return texts
}

// readNumber reads a file of one number, 0 when it cannot.
func readNumber(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// describe says what would be served where.
func (c *config) describe(w io.Writer, iface string) {
	list := func(addrs []string) string {
		if len(addrs) == 0 {
			return "off"
		}
		return strings.Join(addrs, ", ")
	}
	sync := "off"
	if iface != "" {
		sync = fmt.Sprintf("%s on %s, anybody there is believed", c.group, iface)
		if len(c.keys) > 0 {
			sync = fmt.Sprintf("%s on %s, with a cluster key", c.group, iface)
		}
	}
	state := "none: a restart begins empty"
	if c.stateDir != "" {
		state = c.stateDir
	}
	user := "whoever starts it"
	if c.user.name != "" {
		user = c.user.name
	}
	fmt.Fprintln(w, "ok")
	for _, row := range [][2]string{
		{"http", list(c.http)}, {"https", list(c.https)}, {"udp", list(c.udp)}, {"admin", list(c.admin)}, {"live sync", sync}, {"state", state}, {"user", user},
	} {
		fmt.Fprintf(w, "%-11s%s\n", row[0], row[1])
	}
}
