package cloudnode

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"golang.org/x/term"

	"skerry/appliance/cli"
)

// TopVerb is the command line of skerry cloud top.
type TopVerb struct {
	OperatorFlags
	Every time.Duration `help:"Look again after this time." default:"2s"`
	Once  bool          `help:"Print it once, as it does where there is no terminal."`
	JSON  bool          `name:"json" help:"Print it once as JSON, with every counter."`
}

// Help is shown above the flags.
func (v *TopVerb) Help() string {
	return `Each worker's boards, sessions, queue and memory, and the bundles that it serves with
T, what a pass of one position takes, and m, what a further position costs of that. OVER
QUOTA is how often a board was held back by --rows; of several workers, OWNED are
the boards that belong to one, and GIVEN UP those that had been away for long. Bundles
that boards are offered come last, with how many workers serve them. A cloud of its own
is one worker. Ctrl-C ends it.

Examples:
  skerry cloud top                          until Ctrl-C
  skerry cloud top --once                   as a table, for now
`
}

// Run shows the load of the cloud that runs until ctx ends.
func (v *TopVerb) Run(ctx context.Context, out *cli.Console) error {
	if v.Every < 100*time.Millisecond {
		return cli.Usagef("--every %v: choose 100ms or more", v.Every)
	}
	op, err := v.operateRunning(ctx)
	if err != nil {
		return err
	}
	defer op.Close()
	load, err := op.Load(ctx)
	switch {
	case err != nil:
		return err
	case v.JSON:
		return json.NewEncoder(out.Stdout).Encode(load)
	case v.Once || !term.IsTerminal(int(out.Stdout.Fd())) || os.Getenv("TERM") == "dumb":
		return load.WriteTop(out.Stdout, nil, 0)
	}
	var before *Load
	var wrong error
	at, ago := time.Now(), time.Duration(0)
	screen := cli.OpenScreen(out, func(w, h int) []byte { return load.topScreen(before, ago, wrong, w, h) })
	defer screen.Close()
	tick := time.NewTicker(v.Every)
	defer tick.Stop()
	for err = screen.Repaint(func() {}); err == nil; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, failed := op.Load(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		err = screen.Repaint(func() {
			if wrong = failed; failed == nil {
				before, load, ago, at = load, next, now.Sub(at), now
			}
		})
	}
	return err
}
