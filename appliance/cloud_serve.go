package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/cloudnode/child"
	"skerry/appliance/config"
	"skerry/appliance/engine"
	"skerry/appliance/node"
)

type cloudServeCmd struct {
	Listen   string   `help:"Serve boards at this address. Without it that is port 7537, on loopback until skerry cloud init has been run." placeholder:"ADDR"`
	State    string   `help:"Keep certificates and the record of boards in this directory." placeholder:"DIR" type:"path"`
	Bundle   []string `help:"Serve this bundle instead of the default model's. It may be repeated." placeholder:"DIR" type:"path"`
	Split    bool     `help:"Make a bundle in the cache, once, if a --bundle is a GGUF."`
	Sessions int      `help:"Serve so many sessions of each bundle at once; 0 takes as many as the memory of the GPU holds, and 8 without one." default:"8"`
	Context  int      `help:"Let each session hold so many positions; the KV cache is made for all of them at the start." default:"8192"`
	Threads  int      `help:"Compute with so many threads; 0 takes all cores but one." default:"0"`
	cli.GPUFlag
	Whole    bool          `help:"Serve whole models too, for boards that may send text: with a draft model they then need nothing else of a model. That costs their memory once more."`
	Memory   int64         `help:"Hold so many megabytes of hidden states, answers and positions for boards; above it contexts are evicted." default:"1024" placeholder:"MB"`
	Disk     int64         `help:"Keep contexts in files below the state directory, so many megabytes in all, so that boards need not send them again after a restart; with 0 none are." default:"512" placeholder:"MB"`
	Keep     time.Duration `help:"Keep the context of a board that is not connected for so long, in memory and in files." default:"10m"`
	MaxWait  time.Duration `help:"Refuse an ask as busy that would wait longer than this for the work of others." default:"5s"`
	PerBoard int           `help:"Let one board have so many sessions at once." default:"64"`
	Rows     int           `help:"Compute no more than so many positions a minute for one board, of several workers all together; 0 sets no bound." default:"0"`
	PullRate int           `help:"Let all boards together fetch so many megabytes a second of their bundles' files (skerry model pull cloud:NAME); with 0 none may." default:"16" placeholder:"MB"`
	Metrics  string        `help:"Serve /metrics for Prometheus at this address, as 127.0.0.1:9537. It asks for no key, so it is for loopback or a network of your own." placeholder:"ADDR"`
	cloudnode.WorkerOptions
	JSON     bool `name:"json" help:"Print the address as a line of JSON once it is served, and log as JSON."`
	Attached bool `hidden:"" help:"End when stdin closes, and serve this machine alone with development certificates."`
}

func (c *cloudServeCmd) Run(ctx context.Context, out *cli.Console) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	opt := cloudnode.Options{
		Listen: c.Listen, State: state, Sessions: c.Sessions, Context: c.Context, Threads: c.Threads, GPULayers: c.GPULayers, Whole: c.Whole, MemoryMB: c.Memory,
		DiskMB: c.Disk, Keep: c.Keep, MaxWait: c.MaxWait, PerBoard: c.PerBoard, Rows: c.Rows, PullMB: c.PullRate, Metrics: c.Metrics,
		Development: c.Attached, Worker: c.WorkerOptions, Version: version, Log: c.log(out),
	}
	if err := opt.Check(); err != nil {
		return cli.Usagef("%w", err)
	}
	if c.Attached {
		// Whoever started this holds the other end of stdin, and its end is ours
		// however it comes.
		go func() {
			io.Copy(io.Discard, out.Stdin)
			cancel()
		}()
	}
	for _, note := range node.KernelNotes(state, c.GPULayers) {
		opt.Log.Warn(note)
	}
	if len(c.Bundle) == 0 {
		c.Bundle = []string{""}
	}
	for _, path := range c.Bundle {
		dir, err := choose.Bundle(ctx, out, path, c.Split)
		if err != nil {
			return err
		}
		opt.Bundles = append(opt.Bundles, dir)
	}
	node, err := cloudnode.Open(ctx, opt)
	if err != nil {
		return err
	}
	defer node.Close()
	c.announce(out, node)
	return node.Serve(ctx)
}

func (c *cloudServeCmd) log(out *cli.Console) *slog.Logger {
	if c.JSON {
		return slog.New(slog.NewJSONHandler(out.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(out.Stderr, nil))
}

func (c *cloudServeCmd) announce(out *cli.Console, node *cloudnode.Node) {
	if c.JSON {
		json.NewEncoder(out.Stdout).Encode(child.Announcement{Listening: node.Addr().String(), PID: os.Getpid()})
		return
	}
	for _, b := range node.Bundles() {
		out.Note("serving %s (bundle %x)", b.Name, b.ID[:6])
	}
	out.Note("kernels %s", engine.Init(""))
	fmt.Fprintf(out.Stdout, "listening on %s\n", node.Addr())
}
