package cloudnode

import (
	"cmp"
	"context"

	"skerry/appliance/cli"
)

// InvitesVerb is skerry cloud invites.
type InvitesVerb struct {
	All bool `help:"Also list those of the last month that were used or withdrawn, or have expired."`
	OperatorFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Run lists invitations.
func (c *InvitesVerb) Run(ctx context.Context, out *cli.Console) error {
	op, err := c.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	list, err := op.Invites(ctx, c.All)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(list)
	}
	if len(list) == 0 {
		out.Note("no invitation is open: `skerry cloud invite` makes one")
		return nil
	}
	return cli.Table(out.Stdout, InviteTable(list)...)
}

// WithdrawVerb is skerry cloud withdraw.
type WithdrawVerb struct {
	What string `arg:"" help:"Take back the invitation with this ID, which skerry cloud invites shows, or this code, or all that are open for the board of this name."`
	OperatorFlags
}

// Run takes an invitation back.
func (c *WithdrawVerb) Run(ctx context.Context, out *cli.Console) error {
	op, err := c.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	gone, err := op.Withdraw(ctx, c.What)
	if err != nil {
		return err
	}
	for _, r := range gone {
		out.Note("invitation %s for %s is withdrawn: its code is good for nothing", r.ID, cmp.Or(r.Name, "any board"))
	}
	return nil
}
