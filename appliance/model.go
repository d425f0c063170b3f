package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/bundle/parity"
)

type modelCmd struct {
	Fetch     modelFetchCmd     `cmd:"" help:"Fetch a model into the cache and print its path."`
	Split     modelSplitCmd     `cmd:"" help:"Make a bundle of a GGUF."`
	Calibrate modelCalibrateCmd `cmd:"" help:"Fit the exit heads of a bundle and measure them."`
	Inspect   modelInspectCmd   `cmd:"" help:"Show what a bundle is made of."`
	Verify    modelVerifyCmd    `cmd:"" help:"Check every file of a bundle."`
	Synth     modelSynthCmd     `cmd:"" help:"Make a model of random weights, for timing."`
}

type modelFetchCmd struct {
	Ref  string `arg:"" optional:"" help:"hf:OWNER/REPO/FILE.gguf, with @sha256:HEX to pin it; without one, the default model."`
	From string `help:"Take this file instead of downloading." placeholder:"FILE" type:"path"`
}

func (c *modelFetchCmd) Run(ctx context.Context, out *console) error {
	if c.From != "" && c.Ref != "" {
		return usageError("give a reference or --from, not both")
	}
	p := newProgress(out, "fetch")
	defer p.done()
	path, err := fetch(ctx, p, c.Ref, c.From)
	if err != nil {
		return err
	}
	p.done()
	fmt.Fprintln(out.stdout, path)
	return nil
}

func fetch(ctx context.Context, p *progress, ref, from string) (string, error) {
	return bundle.Fetch(ctx, ref, bundle.FetchOptions{From: from, Progress: p.step})
}

type modelSplitCmd struct {
	Source    string `arg:"" help:"The model, a GGUF." type:"path"`
	Output    string `short:"o" required:"" help:"The bundle's directory." placeholder:"DIR" type:"path"`
	Exits     string `help:"One or two exits, as blocks below them; on the model's period; default a third and two thirds." placeholder:"A[,B]"`
	Type      string `help:"auto, q4_0, q8_0 or keep; auto requantizes what has no fast kernels." default:"auto"`
	NoUnsplit bool   `help:"Leave the whole model out, which only the unsplit mode needs."`
}

func (c *modelSplitCmd) Run(ctx context.Context, out *console) error {
	exits, err := parseExits(c.Exits)
	if err != nil {
		return err
	}
	p := newProgress(out, "split")
	defer p.done()
	m, err := split(ctx, p, c.Source, c.Output, bundle.Options{Exits: exits, Type: c.Type, NoUnsplit: c.NoUnsplit})
	if err != nil {
		return err
	}
	p.done()
	out.note("parity with the whole model over %d positions: %d equal tokens, logits within %g (%s kernels)",
		m.Parity.Positions, m.Parity.EqualTokens, m.Parity.MaxAbsDiff, m.Parity.Kernels)
	fmt.Fprintln(out.stdout, c.Output)
	return nil
}

func split(ctx context.Context, p *progress, src, dir string, o bundle.Options) (*bundle.Manifest, error) {
	return splitInto(ctx, p.step, src, dir, o)
}

func splitInto(ctx context.Context, step func(what string, done, total int64), src, dir string, o bundle.Options) (*bundle.Manifest, error) {
	o.Progress, o.Parity, o.Quantizer = step, parity.Check, parity.Quantize
	return bundle.Split(ctx, src, dir, o)
}

// parseExits reads one or two block counts; none is nil.
func parseExits(s string) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	var exits []int
	for e := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(e))
		if err != nil {
			return nil, usageError("--exits %q: give one or two block counts, as 10,20", s)
		}
		exits = append(exits, n)
	}
	return exits, nil
}

// splitVersion names the default bundle's directory; it goes up when Split
// makes something else of the same source.
const splitVersion = 1

// defaultBundle returns the directory of the default model's bundle, fetching
// and splitting it if need be.
func defaultBundle(ctx context.Context, out *console) (string, error) {
	cache, err := bundle.CacheDir()
	if err != nil {
		return "", err
	}
	dir := defaultBundleDir(cache)
	if _, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); err == nil {
		return dir, nil
	}
	out.note("preparing the default model, once")
	p := newProgress(out, "fetch")
	defer p.done()
	return prepareDefault(ctx, p.step, func(what string, done, total int64) {
		p.work = "split"
		p.step(what, done, total)
	})
}

// defaultBundleDir is where the default model's bundle is, prepared or not.
func defaultBundleDir(cache string) string {
	return filepath.Join(cache, "bundles", fmt.Sprintf("%s-%d", bundle.DefaultName, splitVersion))
}

type modelInspectCmd struct {
	Dir  string `arg:"" help:"The bundle." type:"path"`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *modelInspectCmd) Run(out *console) error {
	i, err := bundle.Inspect(c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(out.stdout)
		e.SetIndent("", "  ")
		return e.Encode(i)
	}
	m := i.Manifest
	id := m.ID()
	fmt.Fprintf(out.stdout, "%s  %s, %d blocks, width %d, vocabulary %d, context %d\n", m.Name, m.Architecture, m.Blocks, m.Embedding, m.Vocab, m.ContextLength)
	fmt.Fprintf(out.stdout, "bundle %s  exits after %v  type %s\n", hex.EncodeToString(id[:8]), m.Exits, m.Type)
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	for _, s := range m.Stages {
		fmt.Fprintf(w, "%s\tblocks %d to %d\t%s\t%s\n", s.Role, s.From, s.To, bytesText(s.Bytes), s.SHA256[:16])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "the board's files are %.3f of the whole model's\n", i.BoardRatio)
	for _, h := range m.Heads {
		if h.Kind == bundle.HeadModel {
			fmt.Fprintf(out.stdout, "exit %d: the model's own norm and LM head; skerry model calibrate %s fits a better one\n", h.Exit, c.Dir)
		} else {
			fmt.Fprintf(out.stdout, "exit %d: fitted, %d tokens, believed from confidence %.3g, where it agrees with the whole model on %.3f\n",
				h.Exit, h.Shortlist, h.Threshold, agreementAt(h))
		}
	}
	if p := m.Parity; p != nil {
		fmt.Fprintf(out.stdout, "parity: %d of %d tokens equal, logits within %g (%s kernels)\n", p.EqualTokens, p.Positions, p.MaxAbsDiff, p.Kernels)
	}
	return nil
}

type modelVerifyCmd struct {
	Dir string `arg:"" help:"The bundle." type:"path"`
}

func (c *modelVerifyCmd) Run(ctx context.Context, out *console) error {
	if err := bundle.Verify(ctx, c.Dir); err != nil {
		return err
	}
	fmt.Fprintln(out.stdout, "ok")
	return nil
}

// modelVars are what the help of the model commands names.
func modelVars() kong.Vars {
	return kong.Vars{
		"calibrateTokens": strconv.Itoa(calibrate.DefaultTokens), "calibrateSteps": strconv.Itoa(calibrate.DefaultSteps),
		"shapes": strings.Join(bundle.Shapes(), ", "), "strategies": strings.Join(strategies.Default, ", ")}
}

type modelSynthCmd struct {
	Shape  string `arg:"" help:"One of ${shapes}."`
	Output string `short:"o" required:"" help:"The GGUF to write." placeholder:"FILE" type:"path"`
	Type   string `help:"Type of the matrices." default:"q4_0"`
	Seed   uint64 `help:"Seed of the weights." default:"1"`
}

func (c *modelSynthCmd) Run(ctx context.Context, out *console) error {
	p := newProgress(out, "synth")
	defer p.done()
	if err := bundle.Synth(ctx, c.Shape, c.Output, bundle.SynthOptions{Seed: c.Seed, Type: c.Type, Progress: p.step}); err != nil {
		return err
	}
	p.done()
	fmt.Fprintln(out.stdout, c.Output)
	return nil
}
