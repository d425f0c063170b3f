package cloudnode

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

// EvictVerb is skerry cloud evict.
type EvictVerb struct {
	Device string `arg:"" optional:"" help:"Free the contexts of this board alone; without it, those of all."`
	OperatorFlags
}

// Run frees contexts.
func (c *EvictVerb) Run(ctx context.Context, out *cli.Console) error {
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	freed, err := Evict(ctx, state, c.Device)
	if err != nil {
		return err
	}
	out.Note("%s freed; what is still wanted of them the boards send again", status.Plural(freed, "context"))
	return nil
}
