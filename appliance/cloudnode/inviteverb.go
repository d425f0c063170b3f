package cloudnode

import (
	"context"
	"fmt"
	"net"
	"time"

	"skerry/appliance/cli"
	"skerry/cloudlink/trust"
)

// InviteVerb is skerry cloud invite.
type InviteVerb struct {
	Name    string        `help:"Call the board this, with a number behind it where there is --count. Without it the board is called as it calls itself." placeholder:"DEVICE"`
	May     string        `help:"Let the cloud see no more of the board than text, hidden (hidden states, no tokens) or nothing. Without it the board says." placeholder:"WHAT"`
	Expires time.Duration `help:"Have the code expire after this time." default:"24h"`
	Count   int           `help:"Make so many codes." default:"1"`
	CSV     bool          `name:"csv" help:"Print the codes as CSV with the columns name, code and expires."`
	Cloud   []string      `help:"Have boards reach this cloud at HOST:PORT; there may be four. Without it these are the names given to init, with the port it listens on." placeholder:"ADDR"`
	OperatorFlags
}

// Run makes codes and prints them.
func (c *InviteVerb) Run(ctx context.Context, out *cli.Console) error {
	may, err := trust.ParseDisclosure(c.May)
	if err != nil {
		return cli.Usagef("--may: %w", err)
	}
	if c.Count < 1 || c.Count > 10000 {
		return cli.Usagef("--count is %d: choose 1 to 10000", c.Count)
	}
	for _, a := range c.Cloud {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return cli.Usagef("--cloud %q: give HOST:PORT", a)
		}
	}
	op, err := c.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	made, err := op.Invite(ctx, InviteRequest{Name: c.Name, May: may, Life: c.Expires, Count: c.Count, Addrs: c.Cloud})
	if err != nil {
		return err
	}
	if c.CSV {
		return WriteInvitations(out.Stdout, made)
	}
	for _, i := range made {
		if i.Replaces {
			out.Note("a device is called %s already: whoever uses this code takes its place", i.Name)
		}
		fmt.Fprintln(out.Stdout, i.Code)
	}
	out.Note("good for one board until %s; on the board: skerry enroll CODE", made[0].Expires.Local().Format(time.DateTime))
	if code, err := trust.ParseCode(made[0].Code); err == nil && len(code.Addrs) == 0 {
		out.Note("no address of this cloud is known: add --cloud HOST:PORT there")
	}
	return nil
}
