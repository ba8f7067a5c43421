package main

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"starling/cmd/starling/doctor"
	"starling/wire"
)

// doctorCommand returns `starling doctor`: what of this host keeps nodes from hearing each other.
func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look at this host and its network, and say what to do",
		Description: `Joins the group for some seconds and looks at interface, membership, switch,
clock, buffers, ports, firewall and memory, and at the node that runs here if
one does. Each line is ok, warn or bad, and says what to do. Exits with 1 when
one is bad. It sends one packet, which all trackers ignore. Root sees more.

   starling doctor
   starling doctor --livesync-interface eth0 --listen 130s    hears the querier
   starling doctor --json | jq '.[] | select(.verdict == "bad")'`,
		Flags: append(adminFlags(),
			&cli.StringFlag{Name: "livesync-interface", DefaultText: "the node's, or auto", Usage: "The interface to look at: `NAME, IP or auto`."},
			&cli.StringFlag{Name: "livesync-group", DefaultText: "the node's, or " + wire.Group.String(), Usage: "The group to join, `ADDR`."},
			&cli.DurationFlag{Name: "listen", Value: 5 * time.Second, Usage: "How long to listen, `D`."},
			&cli.BoolFlag{Name: "json", Usage: "Print a JSON array with an object for each line."},
		),
		Action: doctorAction,
	}
}

// The bounds of --listen.
const (
	listenLeast = 100 * time.Millisecond
	listenMost  = time.Hour
)

func doctorAction(c *cli.Context) error {
	target, err := adminTargetOf(c)
	if err != nil {
		return err
	}
	while := c.Duration("listen")
	if while < listenLeast || while > listenMost {
		return usagef("doctor: --listen: %s is not from %s to %s", while, listenLeast, listenMost)
	}
	s := &doctor.Snapshot{Group: wire.Group}
	s.Node, err = nodeForDoctor(c.Context, target)
	if err != nil {
		s.NodeError, _, _ = strings.Cut(err.Error(), ": ")
	}
	if err := doctorSubject(c, s); err != nil {
		return err
	}
	doctor.Look(c.Context, s, while)
	findings := doctor.Findings(s)
	if err := writeFindings(c.App.Writer, findings, c.Bool("json")); err != nil {
		return err
	}
	if doctor.Sick(findings) {
		return cli.Exit("", exitFailure)
	}
	return nil
}

// doctorSubject says which interface and group are looked at: those of the flags, else the node's, else what serve would take.
func doctorSubject(c *cli.Context, s *doctor.Snapshot) error {
	s.Interface.Wanted = "auto"
	if n := s.Node; n != nil && n.Interface != "" {
		s.Interface.Wanted = n.Interface
		if group, err := netip.ParseAddrPort(n.Group); err == nil {
			s.Group = group
		}
	}
	if name := c.String("livesync-interface"); name != "" {
		s.Interface.Wanted = name
	}
	if group := c.String("livesync-group"); group != "" {
		if err := setGroup(&s.Group)(group); err != nil {
			return usagef("doctor: --livesync-group: %w", err)
		}
	}
	return nil
}

// nodeForDoctor asks the node that runs here.
func nodeForDoctor(ctx context.Context, target adminTarget) (*doctor.Node, error) {
	body, err := target.status(ctx)
	if err != nil {
		return nil, err
	}
	var s status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	l := &s.Livesync
	return &doctor.Node{
		Admin: target.addr, Version: s.Version, Interface: l.Interface, Group: l.Group, State: l.State, Trouble: l.Trouble, Mode: l.Mode,
		Nodes: len(s.Nodes), InSync: s.InSync, InSyncWhy: s.InSyncWhy, Auth: l.Dropped.Auth, PlainDrop: l.Dropped.Plain, KernelDrop: l.Dropped.Kernel,
		CatchingUp:  l.CatchUp != nil && !l.CatchUp.Ready,
		MemoryLimit: s.Memory.Limit, Resident: int64(s.Memory.Resident),
	}, nil
}

// writeFindings writes them for people or as JSON.
func writeFindings(w io.Writer, findings []doctor.Finding, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(w, doctor.Text(findings))
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(findings)
}
