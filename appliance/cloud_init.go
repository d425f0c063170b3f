package main

import (
	"net"
	"strings"
	"time"

	"skerry/cloudlink/trust"
)

type cloudInitCmd struct {
	State string   `help:"Where certificates and the record of boards are kept." placeholder:"DIR" type:"path"`
	Name  []string `help:"A host name or IP address under which boards reach this cloud; may be repeated. Codes carry it." placeholder:"HOST,IP"`
	Renew bool     `help:"Make a new server certificate; boards stay enrolled."`
	Force bool     `help:"The same as --renew." hidden:""`
}

func (c *cloudInitCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	for _, n := range c.Name {
		if net.ParseIP(n) == nil && strings.ContainsAny(n, ":/ _") {
			return usageError("--name %q: give a host name or an IP address, without a port", n)
		}
	}
	if c.Renew || c.Force {
		if _, err := atDesk(out.stderr, state, order{Do: "renew", Clouds: c.Name}); err != nil {
			return err
		}
		out.note("the server certificate in %s is new; boards stay enrolled", state)
		return nil
	}
	if _, err := trust.CreateAuthority(state, c.Name, time.Now); err != nil {
		return err
	}
	out.note("certificates made in %s: keep a copy of pki/ca.pem where nobody else reads it", state)
	out.note("now run `skerry cloud`, and `skerry cloud invite` for each board")
	return nil
}
