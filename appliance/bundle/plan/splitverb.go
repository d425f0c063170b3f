package plan

import (
	"context"
	"fmt"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/bundle/split"
	"skerry/appliance/cli"
)

// SplitVerb is skerry model split, which parses, splits and prints.
type SplitVerb struct {
	Source    string `arg:"" help:"Split this model, a GGUF." type:"path"`
	Output    string `short:"o" required:"" help:"Write the bundle to this directory." placeholder:"DIR" type:"path"`
	Name      string `help:"Call the model this, by which clients ask for it, instead of by the file's name." placeholder:"NAME"`
	Exits     string `help:"Place one or two exits above so many blocks, on the model's period. Without it they are at a third and two thirds." placeholder:"A[,B]"`
	Type      string `help:"Store the weights as auto, q4_0, q8_0 or keep; auto requantizes what has no fast kernels." default:"auto"`
	For       string `help:"Choose the type for a use instead: verify has every type tried on this machine, and takes the one in which checking drafts is fastest. It takes minutes." enum:",verify" default:"" placeholder:"verify"`
	Threads   int    `help:"Try types with so many threads instead of the cores less one." default:"0" placeholder:"N"`
	Draft     string `help:"Have this smaller model of the same tokens draft on the board: a GGUF, or what skerry model fetch takes, as qwen2.5-coder-0.5b." placeholder:"SMALL"`
	Projector string `help:"Have it read images by this projector of the same model, a GGUF (mmproj)." placeholder:"MMPROJ" type:"existingfile"`
	NoUnsplit bool   `help:"Leave the whole model out, which only the unsplit mode needs."`
}

// Run splits as the flags say.
func (v *SplitVerb) Run(ctx context.Context, out *cli.Console) error {
	exits, err := prepare.ParseExits(v.Exits)
	if err != nil {
		return cli.Usagef("--exits %w", err)
	}
	if v.For != "" && v.Type != split.TypeAuto {
		return cli.Usagef("--for %s chooses the type itself: leave --type %s out, or --for", v.For, v.Type)
	}
	o := split.Options{Name: v.Name, Exits: exits, Type: v.Type, Draft: v.Draft, Projector: v.Projector, NoUnsplit: v.NoUnsplit}
	if v.For != "" {
		if err := v.chooseType(ctx, &o, out); err != nil {
			return err
		}
	}
	p := cli.NewProgress(out, "split")
	defer p.Done()
	m, err := prepare.Split(ctx, v.Source, v.Output, o, p.Step)
	if err != nil {
		return err
	}
	p.Done()
	v.next(m, out)
	fmt.Fprintln(out.Stdout, v.Output)
	return nil
}

// next says what came of it, and what to do with it.
func (v *SplitVerb) next(m *bundle.Manifest, out *cli.Console) {
	out.Note("parity with the whole model over %d positions: %d equal tokens, logits within %g (%s kernels)",
		m.Parity.Positions, m.Parity.EqualTokens, m.Parity.MaxAbsDiff, m.Parity.Kernels)
	out.Note("%s is ready. Next:\n  skerry run --bundle %[2]s \"Hello\"    try it\n  skerry model calibrate %[2]s      fit its exits: more tokens stay on the board\n  skerry serve --bundle %[2]s       serve it",
		m.Name, cli.ShellWord(v.Output))
}

// chooseType sets the type of the weights by what they take on this machine, and says why.
func (v *SplitVerb) chooseType(ctx context.Context, o *split.Options, out *cli.Console) (err error) {
	p := cli.NewProgress(out, "split")
	defer p.Done()
	if o.Draft != "" {
		if o.Draft, o.DraftName, err = prepare.Draft(ctx, o.Draft, p.Step); err != nil {
			return err
		}
	}
	c, err := ForVerify(ctx, TypeOptions{Source: v.Source, Draft: o.Draft, Dir: filepath.Dir(v.Output), Threads: v.Threads, Quantizer: parity.Quantize, Progress: p.Step})
	if err != nil {
		return err
	}
	p.Done()
	o.Type = c.Type
	return c.Text(out.Stderr, cli.Table)
}
