package main

import (
	"context"
	"errors"

	"skerry/appliance/bench/decode"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/cli"
	"skerry/appliance/engine"
	"skerry/appliance/node"
	"skerry/appliance/status"
)

type benchDecodeCmd struct{ decode.Flags }

func (c *benchDecodeCmd) Run(ctx context.Context, out *cli.Console) error {
	o, err := c.Options()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	exits, err := prepare.ParseExits(c.Exits)
	if err != nil {
		return cli.Usagef("--exits %w", err)
	}
	if k := engine.Init(""); k.Baseline() {
		out.Note("%s", node.BaselineWarning)
	}
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	models, err := decode.Choice{Dir: c.Model, Quick: c.Quick, Exits: exits, Threads: o.Threads, Steps: p.StepOf, Note: out.Note}.Prepare(ctx)
	if e := (*prepare.ExitsError)(nil); errors.As(err, &e) {
		return cli.Usagef("--exits: %w", err)
	}
	if err != nil {
		return err
	}
	o.Progress = p.StepOf("bench")
	if c.NoPeer {
		o.PeerReason = "left out by --no-peer"
	} else if o.Peer, err = decode.InstallPeer(ctx, o.Progress); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.PeerReason = status.OneLine(err)
	}
	report, err := decode.Run(ctx, o, models...)
	if err != nil {
		return err
	}
	p.Done()
	if c.Out != "" {
		if err := report.WriteFiles(c.Out); err != nil {
			return err
		}
	}
	return out.Report(c.JSON, report)
}
