package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/cloudlink/partition"
	"skerry/systemd"
)

// cloudCmd serves unless it is told otherwise.
type cloudCmd struct {
	Serve   cloudServeCmd   `cmd:"" default:"withargs" help:"Serve the cloud partition; this is what skerry cloud does by itself."`
	Init    cloudInitCmd    `cmd:"" help:"Make the certificates with which boards know this cloud."`
	Invite  cloudInviteCmd  `cmd:"" help:"Make a code with which a board enrolls."`
	Devices cloudDevicesCmd `cmd:"" help:"List the boards that are enrolled."`
	Revoke  cloudRevokeCmd  `cmd:"" help:"Bar a board, at once."`
	Load    cloudLoadCmd    `cmd:"" help:"Show what the running cloud holds and computes, by board."`
	Evict   cloudEvictCmd   `cmd:"" help:"Free the memory of contexts; nothing is lost."`
}

// cloudPort is where boards reach a cloud unless they are told otherwise.
const cloudPort = 7537

type cloudServeCmd struct {
	Listen   string        `help:"Where boards reach the partition. Default: port 7537, on loopback until skerry cloud init has been run." placeholder:"ADDR"`
	State    string        `help:"Where certificates and the record of boards are kept." placeholder:"DIR" type:"path"`
	Bundle   []string      `help:"A bundle to serve; may be repeated. Without one, the default." placeholder:"DIR" type:"path"`
	Sessions int           `help:"Sessions at once, by bundle." default:"8"`
	Context  int           `help:"Positions each session may hold; the KV cache is made for all of them at the start." default:"8192"`
	Threads  int           `help:"Threads that compute; 0: the cores less one." default:"0"`
	Whole    bool          `help:"Serve whole models too, for boards that may send text (run --mode cloud-only); costs their memory once more."`
	Memory   int64         `help:"Megabytes for what is held for boards: hidden states, answers, positions. Above it contexts are evicted." default:"1024" placeholder:"MB"`
	Keep     time.Duration `help:"How long a context is kept for a board that is not connected." default:"10m"`
	MaxWait  time.Duration `help:"An ask that would wait longer for the work of others is refused as busy." default:"5s"`
	PerBoard int           `help:"Sessions that one board may have at once." default:"64"`
	Rows     int           `help:"Positions a minute that one board may have computed; 0: no bound." default:"0"`
	JSON     bool          `name:"json" help:"Announce the address as a line of JSON, and log as JSON."`
	Attached bool          `hidden:"" help:"End when stdin closes; serve this machine alone, with development certificates."`
}

func (c *cloudServeCmd) Run(ctx context.Context, out *console) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Sessions < 1 || c.Context < 16 || c.Threads < 0 {
		return usageError("--sessions %d --context %d --threads %d: choose at least 1 session of 16 positions, 0 threads for automatic", c.Sessions, c.Context, c.Threads)
	}
	if c.Memory < 1 || c.Keep <= 0 || c.MaxWait <= 0 || c.PerBoard < 1 || c.Rows < 0 {
		return usageError("--memory %d --keep %s --max-wait %s --per-board %d --rows %d: choose numbers above 0; only --rows may be 0", c.Memory, c.Keep, c.MaxWait, c.PerBoard, c.Rows)
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
		if c.Whole {
			w, err := openWhole(ctx, dir, s.Options())
			if err != nil {
				return err
			}
			defer w.Close()
			b.Whole = newWholeStage(w)
		}
		bundles = append(bundles, b)
	}
	given, err := systemd.Inherit()
	if err != nil {
		return err
	}
	front, err := c.front(state, log, given)
	if err != nil {
		return err
	}
	defer front.close()
	server, err := partition.NewServer(partition.Config{
		Bundles: bundles, Log: log, Version: version, Devices: front.devices, Grace: 5 * time.Second,
		Budget: c.Memory << 20, IdleContext: c.Keep, MaxWait: c.MaxWait,
		Quota: partition.Quota{Sessions: c.PerBoard, Rows: c.Rows},
	})
	if err != nil {
		return err
	}
	if err := front.open(server); err != nil {
		return err
	}
	c.announce(out, front.ln.Addr().String(), bundles)
	notify := new(systemd.Notifier)
	notify.Ready(fmt.Sprintf("serving %d bundles on %s", len(bundles), front.ln.Addr()))
	defer context.AfterFunc(ctx, func() { notify.Stopping("finishing asks in flight") })()
	return server.Serve(ctx, front.ln)
}

func (c *cloudServeCmd) announce(out *console, addr string, bundles []partition.Bundle) {
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

func (c *cloudServeCmd) open(ctx context.Context, dir string) (partition.Bundle, *engine.Stage, error) {
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
func (t *tailStage) Context() int   { return t.Options().PerSequence() }
func (t *tailStage) MaxRows() int   { return t.Options().Rows }

func (t *tailStage) Forward(rows []partition.Row) ([][]float32, error) {
	b := engine.Batch{Hidden: make([]float32, 0, len(rows)*t.Width())}
	for _, r := range rows {
		b.Hidden = append(b.Hidden, r.Hidden...)
	}
	return t.forward(b, rows)
}

// forward computes a batch that has the rows' inputs.
func (t *tailStage) forward(b engine.Batch, rows []partition.Row) ([][]float32, error) {
	for _, r := range rows {
		want := engine.Want(0)
		if r.Logits {
			want = engine.WantLogits
		}
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
