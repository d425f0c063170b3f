package cloudnode

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/cli"
)

// DrainVerb ends a running cloud in good order, as SIGTERM does, and waits for its end.
type DrainVerb struct {
	NoWait bool `help:"Do not wait until it has ended."`
	OperatorFlags
}

// Help is shown above the flags.
func (v *DrainVerb) Help() string {
	return `The cloud takes nothing new, finishes what boards wait for, writes the contexts that
it keeps to its disk, and ends. Of several workers the others take its boards first,
so that no answer waits for it. As a service it stays stopped until it is started.

Examples:
  skerry cloud drain                        before this machine is serviced
`
}

// ends is how often a cloud that drains is looked at: its socket goes with it, and tells nobody.
const ends = 100 * time.Millisecond

// Run drains the cloud. Where none runs the error wraps ErrNotRunning.
func (v *DrainVerb) Run(ctx context.Context, out *cli.Console) error {
	op, err := v.operateRunning(ctx)
	if err != nil {
		return err
	}
	defer op.Close()
	if err := op.Drain(ctx); err != nil || v.NoWait {
		return err
	}
	tick := time.NewTicker(ends)
	defer tick.Stop()
	for {
		running, err := v.operateRunning(ctx)
		switch {
		case errors.Is(err, ErrNotRunning):
			out.Note("the cloud has ended")
			return nil
		case err == nil:
			running.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
