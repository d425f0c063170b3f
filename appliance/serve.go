package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"syscall"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/config"
	"skerry/appliance/node"
	"skerry/systemd"
)

// serveCmd is the daemon. Its flags overrule the configuration's settings of the same
// names.
type serveCmd struct {
	target.Settings

	Listen     string `help:"Serve the page and the APIs at this address. Without it that is 127.0.0.1:7537." placeholder:"ADDR"`
	Socket     string `help:"Serve the command line at this unix socket." placeholder:"PATH" type:"path"`
	State      string `help:"Keep sessions, keys and certificates in this directory." placeholder:"DIR" type:"path"`
	Cloud      string `help:"Ask this cloud instead of the one that the board is enrolled with. With neither the board is alone." placeholder:"HOST:PORT"`
	Encoding   string `help:"Send hidden states as ${encodingsHelp}." placeholder:"TYPE"`
	Model      string `help:"Serve this model first, by a name that skerry model ls lists or skerry model pull takes, which then fetches it." placeholder:"NAME"`
	Bundle     string `help:"Serve this bundle. Without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	Split      bool   `help:"Make a bundle in the cache, once, if --bundle is a GGUF."`
	Mode       string `help:"Answer in the mode auto, collaborative, verified, standalone or unsplit." placeholder:"MODE"`
	Threshold  string `help:"Believe an exit from this confidence on: T, or T1,T2 by exit." placeholder:"T[,T2]"`
	OnLoss     string `help:"While the cloud is lost, go on alone, wait or stop." placeholder:"WHAT"`
	Context    string `help:"Let a conversation hold so many positions. Without it that is the largest of 8192, 4096 and 2048 that fits memory." placeholder:"N"`
	Parallel   string `help:"Decode so many answers at once." placeholder:"N"`
	Threads    string `help:"Compute with so many threads." placeholder:"N"`
	GPULayers  string `name:"gpu-layers" help:"Put so many of a model's last layers on the GPU: a number, all or auto." placeholder:"N"`
	Durability string `help:"Write the tokens of sessions down in groups (auto or fast) or one by one (strict)." placeholder:"HOW"`
	Grace      string `help:"Let answers finish for so long at a shutdown." placeholder:"TIME"`
}

// Help is shown above the flags.
func (c *serveCmd) Help() string {
	return `With no configuration it serves the default model, alone, with the page and the
APIs on loopback. Flags overrule the settings of the same names; every setting is
shown by skerry config show.

Examples:
  skerry serve                              then: http://127.0.0.1:7537/
  skerry serve --cloud 10.0.0.2:7537        ask that cloud where unsure
  skerry serve --bundle DIR --mode standalone
                                            another model, and never ask
  skerry key new laptop && skerry serve --listen :7537
                                            for the whole network, by key
  skerry status --watch                     how it is, from another terminal

Signals: SIGHUP reads the configuration again; SIGTERM lets answers finish for the
grace time, and journals the rest.
`
}

// sources of the daemon's settings.
func (c *serveCmd) sources() config.Sources {
	s := config.Sources{File: c.Config, Environ: os.Environ(), Flags: map[string]string{}}
	maps.Copy(s.Flags, c.Set)
	for key, v := range map[string]string{
		"listen": c.Listen, "socket": c.Socket, "state": c.State, "cloud.address": c.Cloud, "cloud.encoding": c.Encoding,
		"model": c.Model, "bundle": c.Bundle, "mode": c.Mode, "threshold": c.Threshold, "on_loss": c.OnLoss, "context": c.Context,
		"parallel": c.Parallel, "threads": c.Threads, "gpu_layers": c.GPULayers, "durability": c.Durability, "grace": c.Grace,
	} {
		if v != "" {
			s.Flags[key] = v
		}
	}
	if c.Split {
		s.Flags["split"] = "true"
	}
	return s
}

func (c *serveCmd) Run(ctx context.Context, out *cli.Console) error {
	sources := c.sources()
	conf, origins, err := config.Load(sources)
	if err != nil {
		return cli.Usagef("%w", err)
	}
	d, err := node.Start(node.Options{Sources: sources, Config: conf, Origins: origins, Version: version, Stderr: out.Stderr})
	if err != nil {
		return err
	}
	for _, a := range d.Addresses() {
		fmt.Fprintf(out.Stdout, "listening on http://%s/\n", a)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			d.Reload() // what came of it is logged, and an error is the health's
		case <-ctx.Done():
			return d.Stop(nil)
		case err = <-d.Failed():
			return d.Stop(err)
		case order := <-d.Ordered():
			if err := d.Stop(nil); err != nil {
				return err
			}
			return obey(order)
		}
	}
}

// exitStopped is the code of a daemon that was told to end, which systemd does not
// start again.
const exitStopped = 77

// obey ends the process as ordered. systemd starts it again after a restart; without
// systemd it does so itself.
func obey(order admin.Power) error {
	switch {
	case order == admin.Shutdown && systemd.Supervised():
		return &cli.CodeError{Code: exitStopped}
	case order == admin.Restart && !systemd.Supervised():
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return syscall.Exec(program, os.Args, os.Environ())
	}
	return nil
}
