package main

import (
	"context"
	"fmt"
	"strings"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/node"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

type modelPullCmd struct {
	daemonFlags
	Name      string `arg:"" help:"Fetch cloud:NAME, a bundle that the cloud serves; hf:OWNER/REPO/FILE.gguf; or the default model by its name."`
	Whole     bool   `help:"Fetch the whole model of a cloud's bundle too, with which a board answers alone."`
	MonthlyMB uint64 `name:"monthly-mb" help:"Fetch only what so many megabytes a month leave, if no daemon runs; 0 sets no bound." placeholder:"MB"`
}

// Help is shown above the flags.
func (c *modelPullCmd) Help() string {
	return `A bundle of the cloud is fetched over this board's link, by the daemon where one
runs. One that breaks off is gone on with by the same command.

Examples:
  skerry model pull cloud:smollm2           what a board needs of it
  skerry model pull --whole cloud:smollm2   the whole model, too
`
}

func (c *modelPullCmd) Run(ctx context.Context, out *cli.Console) error {
	name, ofCloud := strings.CutPrefix(c.Name, offer.Prefix)
	if !ofCloud {
		return c.elsewhere(ctx, out)
	}
	if name == "" {
		return cli.Usagef("give the name of a bundle, as cloud:smollm2: skerry link test lists those that the cloud has")
	}
	p := cli.NewProgress(out, "pull")
	defer p.Done()
	d := c.dial()
	defer d.Close()
	prefix := offer.Prefix
	if c.Whole {
		prefix = offer.WholePrefix
	}
	dir, err := d.Pull(ctx, prefix+name, p.Step)
	if unreachable(err) {
		dir, err = c.byItself(ctx, name, p.Step)
	}
	if err != nil {
		return err
	}
	p.Done()
	fmt.Fprintln(out.Stdout, dir)
	out.Note("to answer with it: bundle = %q in /etc/skerry/skerry.toml and a restart, or skerry run --bundle %s", dir, dir)
	return nil
}

// elsewhere fetches what no cloud has.
func (c *modelPullCmd) elsewhere(ctx context.Context, out *cli.Console) error {
	if c.Whole {
		return cli.Usagef("--whole is for a bundle of the cloud, as cloud:smollm2")
	}
	if c.Name == fetch.DefaultName {
		dir, err := defaultBundle(ctx, out)
		if err == nil {
			fmt.Fprintln(out.Stdout, dir)
		}
		return err
	}
	p := cli.NewProgress(out, "fetch")
	defer p.Done()
	path, err := fetch.Model(ctx, c.Name, fetch.Options{Progress: p.Step})
	if err != nil {
		return err
	}
	p.Done()
	fmt.Fprintln(out.Stdout, path)
	out.Note("to make a bundle of it: skerry model split %s -o DIR", path)
	return nil
}

// byItself pulls over a link of its own.
func (c *modelPullCmd) byItself(ctx context.Context, name string, step func(string, int64, int64)) (string, error) {
	state, err := config.StateDir(c.State)
	if err != nil {
		return "", err
	}
	id, err := node.Identity(ctx, state, "", version)
	if err != nil {
		return "", err
	}
	clouds := id.Identity().Clouds
	if len(clouds) == 0 {
		return "", node.ErrNoAddress
	}
	db, err := storage.Open(config.DatabasePath(state), storage.Options{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	conf := node.LinkConfig(clouds[0], version, db)
	conf.Addrs = clouds
	conf.Budget.Metered, conf.Budget.Bytes = c.MonthlyMB > 0, c.MonthlyMB*1e6
	node.EnrolledTrust(&conf, id, db)
	conf.Disclosure = trust.Unset // nothing is sent that there would be to see
	l := node.NewLink(conf, db)
	defer l.Close()
	return node.Pull(ctx, l, name, c.Whole, step)
}
