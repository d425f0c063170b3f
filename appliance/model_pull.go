package main

import (
	"context"
	"fmt"
	"strings"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/config"
	"skerry/appliance/library"
	"skerry/appliance/library/remote"
	"skerry/appliance/node"
)

type modelPullCmd struct {
	target.Daemon
	Name      string `arg:"" help:"Fetch one of ${packaged}; hf.co/OWNER/REPO:QUANT or hf:OWNER/REPO/FILE.gguf; cloud:NAME, a bundle that the cloud serves; or take in a GGUF of this machine."`
	NoDraft   bool   `help:"Leave out the model that drafts for this one, where there is one."`
	Projector string `help:"Have it read images by this projector (mmproj): a GGUF of this machine, hf:OWNER/REPO/FILE.gguf, or none. Without it that is the one that lies beside the model at the hub." placeholder:"FILE"`
	Whole     bool   `help:"Fetch the whole model of a cloud's bundle too, with which a board answers alone."`
	MonthlyMB uint64 `name:"monthly-mb" help:"Fetch only what so many megabytes a month leave, if no daemon runs; 0 sets no bound." placeholder:"MB"`
}

// Help is shown above the flags.
func (c *modelPullCmd) Help() string {
	return `The model is fetched, checked and split, by the daemon where one runs, which then
answers for it under every name that it was fetched by. A model that drafts for it comes
with it where one is known and memory has room. What breaks off is gone on with by the
same command.

Examples:
  skerry model pull qwen2.5-coder-1.5b      with its draft model
  skerry model pull hf.co/OWNER/REPO:Q4_K_M a repository of the hub, by its quantization
  skerry model pull model.gguf              a file of this machine
  skerry model pull model.gguf --projector mmproj.gguf   with what reads images for it
  skerry model pull --whole cloud:smollm2   a bundle of the cloud, with the whole model
`
}

func (c *modelPullCmd) Run(ctx context.Context, out *cli.Console) error {
	of, ofCloud := strings.CutPrefix(c.Name, offer.Prefix)
	switch {
	case ofCloud && of == "":
		return cli.Usagef("give the name of a bundle, as cloud:smollm2: skerry link test lists those that the cloud has")
	case ofCloud && c.Projector != "":
		return cli.Usagef("a bundle of the cloud comes as it is: leave out --projector")
	case !ofCloud && c.Whole:
		return cli.Usagef("--whole is for a bundle of the cloud, as cloud:smollm2")
	}
	p := cli.NewProgress(out, "pull")
	defer p.Done()
	d := c.Dial()
	defer d.Close()
	dir, err := c.pull(ctx, d, of, ofCloud, p.Step)
	if err != nil {
		return err
	}
	p.Done()
	fmt.Fprintln(out.Stdout, dir)
	out.Note("clients ask for it by its name (skerry model ls); skerry run --bundle %s asks it here", dir)
	return nil
}

// pull has the daemon fetch it, or where none runs does so itself.
func (c *modelPullCmd) pull(ctx context.Context, d *admin.Client, of string, ofCloud bool, step func(string, int64, int64)) (string, error) {
	told := c.Name
	switch {
	case c.Whole:
		told = offer.WholePrefix + of
	case c.NoDraft && !ofCloud:
		told = node.NoDraft + told
	}
	if !ofCloud {
		return remote.Pull(ctx, d, c.Name, told, library.PullOptions{NoDraft: c.NoDraft, Projector: c.Projector, Room: modelRoom(), Progress: step})
	}
	dir, err := d.Pull(ctx, told, step)
	if !admin.IsUnreachable(err) {
		return dir, err
	}
	state, err := config.StateDir(c.State)
	if err != nil {
		return "", err
	}
	return node.PullAlone(ctx, state, version, of, c.Whole, c.MonthlyMB, step)
}
