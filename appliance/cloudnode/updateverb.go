package cloudnode

import (
	"context"
	"encoding/json"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// UpdateVerb is the command line of skerry cloud update.
type UpdateVerb struct {
	OperatorFlags
	Version  string   `arg:"" optional:"" help:"Offer this version, as 1.3.0."`
	URL      string   `arg:"" optional:"" help:"Boards find it at this address. {board} in it stands for a board's architecture, or an image's kind of board."`
	Ring     string   `help:"Mean the boards of this ring alone." default:"all" placeholder:"NAME"`
	Window   string   `help:"Have boards install it at this time of day only, by their own clocks." placeholder:"HH:MM-HH:MM"`
	Bundle   string   `help:"Offer a model bundle, not a version of the program: the one that workers serve under this name, or that has this id." placeholder:"NAME|ID"`
	Workers  int      `help:"Tell boards of a bundle once so many workers serve it; without it that is half of them." placeholder:"N"`
	Put      []string `help:"Put this board, as skerry cloud devices names it, into the ring; several times for several." placeholder:"BOARD"`
	Withdraw bool     `help:"Take the ring's offer back."`
	JSON     bool     `name:"json" help:"Print the offers as JSON."`
}

// Help is shown above the flags.
func (v *UpdateVerb) Help() string {
	return `Boards that are connected hear of it within minutes, and install it when it is time,
where their own settings let the cloud do so (update.from_cloud). They trust the
update's signature alone, and try it as any other: one that does not work is taken
back there, and skerry cloud devices shows it. The same version is tried again once
it is offered again. Without arguments the offers are listed. Of several workers of a
cloud any will do: all of them tell their boards.

A model bundle is offered with --bundle: start workers with it first, beside the one that
boards have. Boards hear of it once enough workers serve it, and once they have the
program that they are offered; one that has it already goes to a worker that serves it.

Examples:
  skerry cloud update --ring canary --put shed
  skerry cloud update 1.3.0 https://example.org/skerry/update/{board} --ring canary
  skerry cloud devices                      how it went
  skerry cloud update 1.3.0 https://example.org/skerry/update/{board} --window 02:00-04:00
  skerry cloud update --withdraw
  skerry cloud update 2.0.0 https://example.org/skerry/bundle --bundle smollm2 --ring canary
  skerry cloud update --bundle smollm2 --ring canary --withdraw
`
}

// Run makes, withdraws or lists offers.
func (v *UpdateVerb) Run(ctx context.Context, out *cli.Console) error {
	op, err := v.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	offers, err := op.Update(ctx, UpdateRequest{Ring: v.Ring, Version: v.Version, URL: v.URL, Window: v.Window, Withdraw: v.Withdraw, Put: v.Put, Bundle: v.Bundle, Workers: v.Workers})
	if err != nil {
		return err
	}
	if v.JSON {
		return json.NewEncoder(out.Stdout).Encode(offers)
	}
	if len(offers) == 0 {
		out.Note("no update is offered: skerry cloud update VERSION URL offers one")
		return nil
	}
	table := [][]string{{"RING", "OF", "VERSION", "WINDOW", "MADE", "WORKERS", "ADDRESS"}}
	for _, o := range offers {
		window := o.Window
		if window == "" {
			window = "any time"
		}
		of, workers := "program", "-"
		if o.Bundle != "" {
			of, workers = "bundle "+o.Name, o.progress()
		}
		table = append(table, []string{o.Ring, of, o.Version, window, status.Ago(time.Since(o.Made)), workers, o.URL})
	}
	return cli.Table(out.Stdout, table...)
}
