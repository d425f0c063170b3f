package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

type cloudCmd struct {
	Listen   string   `help:"Where boards reach the partition (UDP)." default:"127.0.0.1:7537" placeholder:"ADDR"`
	State    string   `help:"Where certificates are kept." placeholder:"DIR" type:"path"`
	Bundle   []string `help:"A bundle to serve; may be repeated. Without one, the default." placeholder:"DIR" type:"path"`
	Sessions int      `help:"Sessions at once, by bundle." default:"8"`
	Context  int      `help:"Positions each session may hold; the KV cache is made for all of them at the start." default:"4096"`
	Threads  int      `help:"Threads that compute; 0: the cores less one." default:"0"`
	JSON     bool     `name:"json" help:"Announce the address as a line of JSON, and log as JSON."`
	Attached bool     `hidden:"" help:"End when stdin closes."`
}

func (c *cloudCmd) Run(ctx context.Context, out *console) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Sessions < 1 || c.Context < 16 || c.Threads < 0 {
		return usageError("--sessions %d --context %d --threads %d: choose at least 1 session of 16 positions, 0 threads for automatic", c.Sessions, c.Context, c.Threads)
	}
	if c.Attached {
		// Whoever started this holds the other end of stdin, and its end is ours
		// however it comes.
		go func() {
			io.Copy(io.Discard, out.stdin)
			cancel()
		}()
	}
	log := slog.New(slog.NewTextHandler(out.stderr, nil))
	if c.JSON {
		log = slog.New(slog.NewJSONHandler(out.stderr, nil))
	}
	if k := engine.Init(""); k.Baseline() {
		log.Warn(baselineWarning)
	}
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	if len(c.Bundle) == 0 {
		dir, err := defaultBundle(ctx, out)
		if err != nil {
			return err
		}
		c.Bundle = []string{dir}
	}
	var bundles []partition.Bundle
	for _, dir := range c.Bundle {
		b, s, err := c.open(ctx, dir)
		if err != nil {
			return err
		}
		defer s.Close()
		bundles = append(bundles, b)
	}
	// Development certificates, until boards are enrolled: loopback only.
	ln, err := cloudlink.ListenDev(c.Listen, filepath.Join(state, "dev"))
	if err != nil {
		return err
	}
	server, err := partition.NewServer(partition.Config{Bundles: bundles, Log: log, Version: version})
	if err != nil {
		ln.Close()
		return err
	}
	c.announce(out, ln.Addr().String(), bundles)
	return server.Serve(ctx, ln)
}

func (c *cloudCmd) announce(out *console, addr string, bundles []partition.Bundle) {
	if c.JSON {
		json.NewEncoder(out.stdout).Encode(announcement{Listening: addr, PID: os.Getpid()})
		return
	}
	for _, b := range bundles {
		out.note("serving %s (bundle %x)", b.Name, b.ID[:6])
	}
	out.note("kernels %s", engine.Init(""))
	fmt.Fprintf(out.stdout, "listening on %s\n", addr)
}

// announcement is the line of JSON a partition prints once boards can reach it.
type announcement struct {
	Listening string `json:"listening"`
	PID       int    `json:"pid"`
}

func (c *cloudCmd) open(ctx context.Context, dir string) (partition.Bundle, *engine.Stage, error) {
	b, err := bundle.Open(ctx, dir, bundle.Cloud)
	if err != nil {
		return partition.Bundle{}, nil, err
	}
	s, err := engine.OpenStage(b.Path(bundle.Cloud), engine.Options{Context: c.Context * c.Sessions, Sequences: c.Sessions, Threads: c.Threads})
	if err != nil {
		return partition.Bundle{}, nil, err
	}
	return partition.Bundle{ID: b.Manifest.ID(), Name: b.Manifest.Name, Stage: &tailStage{s}}, s, nil
}

// tailStage is an engine stage as the partition wants it.
type tailStage struct{ *engine.Stage }

func (t *tailStage) Vocab() int     { return t.VocabSize() }
func (t *tailStage) Sequences() int { return t.Options().Sequences }
func (t *tailStage) Context() int   { return t.Options().Context }
func (t *tailStage) MaxRows() int   { return t.Options().Rows }

func (t *tailStage) Forward(rows []partition.Row) ([][]float32, error) {
	width := t.Width()
	b := engine.Batch{Hidden: make([]float32, 0, len(rows)*width)}
	for _, r := range rows {
		want := engine.Want(0)
		if r.Logits {
			want = engine.WantLogits
		}
		b.Hidden = append(b.Hidden, r.Hidden...)
		b.Pos, b.Seq, b.Want = append(b.Pos, int32(r.Pos)), append(b.Seq, int32(r.Seq)), append(b.Want, want)
	}
	out, err := t.Stage.Forward(b)
	if err != nil {
		return nil, err
	}
	var logits [][]float32
	for l := out.Logits; len(l) > 0; l = l[t.VocabSize():] {
		logits = append(logits, l[:t.VocabSize()])
	}
	return logits, nil
}
