package cloudnode

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/cloudlink/trust"
)

// InitVerb is skerry cloud init.
type InitVerb struct {
	State string   `help:"Keep certificates and the record of boards in this directory." placeholder:"DIR" type:"path"`
	Name  []string `help:"Have boards reach this cloud under this host name or IP address, which codes carry. It may be repeated." placeholder:"HOST,IP"`
	Fleet []string `help:"Make what an etcd on these hosts and the workers of this cloud need, in fleet/ of the state directory: name all of its hosts. Run again it is made anew, by the same authority." placeholder:"HOST,IP"`
	Renew bool     `help:"Make a new server certificate; boards stay enrolled."`
	Force bool     `help:"Do the same as --renew." hidden:""`
}

// Run makes certificates.
func (c *InitVerb) Run(ctx context.Context, out *cli.Console) error {
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	for _, n := range c.Name {
		if net.ParseIP(n) == nil && strings.ContainsAny(n, ":/ _") {
			return cli.Usagef("--name %q: give a host name or an IP address, without a port", n)
		}
	}
	if c.Renew || c.Force {
		op, err := Operate(ctx, state, warnings(out))
		if err != nil {
			return err
		}
		defer op.Close()
		if err := op.Renew(ctx, c.Name); err != nil {
			return err
		}
		out.Note("the server certificate in %s is new; boards stay enrolled", state)
		return nil
	}
	if len(c.Fleet) == 0 || !trust.Initialized(state) {
		if _, err := trust.CreateAuthority(state, c.Name, time.Now); err != nil {
			return err
		}
		out.Note("certificates made in %s: keep a copy of pki/ca.pem where nobody else reads it", state)
	}
	if len(c.Fleet) == 0 {
		out.Note("now run `skerry cloud`, and `skerry cloud invite` for each board")
		return nil
	}
	dir, err := MakeFleetFiles(state, c.Fleet, time.Now())
	if err == nil {
		out.Note("%s", FleetSteps(dir, c.Fleet))
	}
	return err
}

// warnings is where a verb that acts for the operator says what it finds wrong.
func warnings(out *cli.Console) *slog.Logger {
	return slog.New(slog.NewTextHandler(out.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
