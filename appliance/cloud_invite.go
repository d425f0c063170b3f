package main

import (
	"encoding/csv"
	"fmt"
	"net"
	"time"

	"skerry/cloudlink/trust"
)

type cloudInviteCmd struct {
	Name    string        `help:"What the board will be called; with --count a number follows. Default: as it calls itself." placeholder:"DEVICE"`
	May     string        `help:"What the cloud may see of the board at most: text, hidden (hidden states, no tokens) or nothing. Default: the board says." placeholder:"WHAT"`
	Expires time.Duration `help:"How long the code is good for." default:"24h"`
	Count   int           `help:"So many codes." default:"1"`
	CSV     bool          `name:"csv" help:"As CSV: name, code, expires."`
	Cloud   []string      `help:"Where boards reach this cloud, HOST:PORT; up to four. Default: the names given to init, and the port it listens on." placeholder:"ADDR"`
	State   string        `help:"The state directory of the cloud." placeholder:"DIR" type:"path"`
}

func (c *cloudInviteCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	may, err := trust.ParseMay(c.May)
	if err != nil {
		return usageError("--may: %w", err)
	}
	if c.Count < 1 || c.Count > 10000 {
		return usageError("--count is %d: choose 1 to 10000", c.Count)
	}
	for _, a := range c.Cloud {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return usageError("--cloud %q: give HOST:PORT", a)
		}
	}
	got, err := atDesk(out.stderr, state, order{Do: "invite", Name: c.Name, May: may, Life: c.Expires, Count: c.Count, Clouds: c.Cloud})
	if err != nil {
		return err
	}
	if c.CSV {
		return inviteCSV(out, got.Invites)
	}
	for _, i := range got.Invites {
		if i.Replaces {
			out.note("a device is called %s already: whoever uses this code takes its place", i.Name)
		}
		fmt.Fprintln(out.stdout, i.Code)
	}
	out.note("good for one board until %s; on the board: skerry enroll CODE", got.Invites[0].Expires.Local().Format(time.DateTime))
	if code, err := trust.ParseCode(got.Invites[0].Code); err == nil && len(code.Addrs) == 0 {
		out.note("no address of this cloud is known: add --cloud HOST:PORT there")
	}
	return nil
}

func inviteCSV(out *console, invites []trust.Invitation) error {
	w := csv.NewWriter(out.stdout)
	w.Write([]string{"name", "code", "expires"})
	for _, i := range invites {
		w.Write([]string{i.Name, i.Code, i.Expires.UTC().Format(time.RFC3339)})
	}
	w.Flush()
	return w.Error()
}
