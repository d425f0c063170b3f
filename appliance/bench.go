package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/engine"
)

type benchCmd struct {
	Decode     benchDecodeCmd     `cmd:"" help:"Time chained stages and exits against the whole model and against llama.cpp as its own people build it."`
	Strategies benchStrategiesCmd `cmd:"" help:"Measure ways of answering over an emulated link, or simulate them on a cloud of given cost."`
	Partition  benchPartitionCmd  `cmd:"" hidden:""`
}

type benchDecodeCmd struct {
	Model     string        `help:"Measure this bundle, with the exits it has; without one, the default model and random weights of the shape of Llama-3.2-1B." placeholder:"DIR" type:"path"`
	Exits     string        `help:"One or two exits, as blocks below them; default a quarter and half of the depth." placeholder:"A[,B]"`
	Threads   int           `help:"Threads that compute; 0: all cores, as nothing else should run." default:"0"`
	Poll      int           `help:"How eagerly idle threads spin, 0 to 100." default:"0"`
	Prompt    int           `help:"Length of the prompt, in tokens." default:"256"`
	Tokens    int           `help:"Tokens decoded in a turn." default:"16"`
	Rounds    int           `help:"The most rounds; each gives every contestant one turn." default:"15"`
	Budget    time.Duration `help:"Time for each model, after loading; a first round is always finished." default:"80s"`
	Shortlist int           `help:"Tokens of the shortlist exit heads." default:"8192"`
	Seed      uint64        `help:"Seed of the order of turns." default:"1"`
	NoPeer    bool          `help:"Leave llama.cpp's own build out."`
	Quick     bool          `help:"Leave the shape of Llama-3.2-1B out, which takes 2 GB of memory and of the cache."`
	Out       string        `help:"Also write bench.json, bench.txt, bench.md and the plots there." placeholder:"DIR" type:"path"`
	JSON      bool          `name:"json" help:"As JSON."`
}

func (c *benchDecodeCmd) Run(ctx context.Context, out *console) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	exits, err := parseExits(c.Exits)
	if err != nil {
		return err
	}
	if k := engine.Init(""); k.Baseline() {
		out.note("%s", baselineWarning)
	}
	subjects, err := c.subjects(ctx, out, exits, o.Threads)
	if err != nil {
		return err
	}
	p := newProgress(out, "bench")
	defer p.done()
	o.Progress = p.step
	if c.NoPeer {
		o.PeerReason = "left out by --no-peer"
	} else if o.Peer, err = installPeer(ctx, p.step); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.PeerReason = oneLine(err)
	}
	report, err := bench.Run(ctx, o, subjects...)
	if err != nil {
		return err
	}
	p.done()
	if c.Out != "" {
		if err := writeBench(c.Out, report); err != nil {
			return err
		}
	}
	if !c.JSON {
		return report.WriteText(out.stdout)
	}
	e := json.NewEncoder(out.stdout)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

func (c *benchDecodeCmd) options() (bench.Options, error) {
	o := bench.Options{Threads: c.Threads, Poll: c.Poll, Prompt: c.Prompt, Decode: c.Tokens, Rounds: c.Rounds, Budget: c.Budget, Seed: c.Seed, Shortlist: c.Shortlist}
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	for _, f := range []struct {
		flag      string
		v, lo, hi int
	}{
		{"threads", o.Threads, 1, 512}, {"poll", o.Poll, 0, 100}, {"prompt", o.Prompt, 16, 4096}, {"tokens", o.Decode, 1, 4096},
		{"rounds", o.Rounds, 1, 1 << 20}, {"shortlist", o.Shortlist, 1, 1 << 20},
	} {
		if f.v < f.lo || f.v > f.hi {
			return o, usageError("--%s is %d: choose %d to %d", f.flag, f.v, f.lo, f.hi)
		}
	}
	if o.Budget <= 0 {
		return o, usageError("--budget is %s: choose a time, as 80s", o.Budget)
	}
	return o, nil
}

// writeBench writes the report in every form to the directory.
func writeBench(dir string, r bench.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	var text, markdown strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
		return err
	}
	for name, s := range map[string]string{"bench.txt": text.String(), "bench.md": markdown.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
			return err
		}
	}
	return r.WritePlots(dir)
}
