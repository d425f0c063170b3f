package calibrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
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
	Fetch   fetch.Options
	// Cache is the directory where what the model read and wrote is kept until the heads
	// are fitted, so that a calibration that was interrupted goes on; default calibration
	// under the user's cache. Keep leaves it there for another calibration. What is older than
	// 30 days is removed by the next one.
	Cache string
	Keep  bool
	// MaxDisagreement, above 0, is the largest share of tokens, in the mean over documents
	// like those of the report, that exits may say and the whole model would not: the
	// exits are then believed from a confidence for which that holds with a probability
	// of 0.95, and more is measured on. Run fails with ErrTooFew where there is too
	// little text for that.
	MaxDisagreement float64
	// HeadSet is the file to write the fitted heads to as well, for other bundles of the
	// same model (bundle.TakeHeads); empty for none.
	HeadSet string
	// DraftOnly measures the bundle's draft model and fits no exits; WithoutDraft fits the
	// exits and leaves the draft model alone, which may have no room in memory. What the
	// bundle says of the other stays.
	DraftOnly, WithoutDraft bool
	// MeasureOnly fits nothing: the exits' heads stay as they are, what they are worth is
	// measured, and how far they are believed is chosen anew.
	MeasureOnly bool
	// Progress is called, often, from the goroutine that called Run: what is being
	// done, and how much of how much. May be nil.
	Progress func(step string, done, total int64)
	// Note is called with what the user should know. May be nil.
	Note func(format string, args ...any)

	tune, report int // tokens of each kind, by default tuneTokens and reportTokens
	prompts      int // answered at once and kept together, by default slots
}

// Defaults. Agreement rises by two to three points with each doubling of the text, and a
// schedule of 400 steps is long enough for that much.
const (
	DefaultTokens = 80_000
	DefaultSteps  = 400
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
	Heads       []bundle.Head       `json:"exit_heads,omitempty"`  // nil where none were fitted
	Calibration *bundle.Calibration `json:"calibration,omitempty"` // of them
	Draft       *bundle.Draft       `json:"draft,omitempty"`       // nil where the bundle has none that can be used
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
	tuned  []*document
	// For the draft model, where there is one that can be used: what was read and written to
	// tune and to report on.
	hasDraft                 bool
	quotedTune, quotedReport []quoted
	texts                    []bundle.CalibrationText
	text                     int // numbers texts as they are taken
	// For the progress: what is being done, and tokens read or written.
	step        string
	done, total int
	until       int // that the source under way was expected to come to
	weight      int // how often a token of a source is counted
	// Where what was read and written is kept, with which kernels it was computed, and
	// whether it could not be kept.
	cache, kernels string
	unsaved        bool
	parts          []string // files of what was read and written
}

// Run fits the exit heads of the bundle in dir and replaces those it has. Until it
// returns nil the bundle is as it was. Errors are one line with a hint; they wrap
// ErrText, ErrTooFew, disk.ErrBusy, bundle.ErrMissing, syscall.ENOSPC or the context's error
// where that is the cause.
func Run(ctx context.Context, dir string, opt Options) (*Result, error) {
	opt = opt.withDefaults()
	if opt.HeadSet != "" {
		if _, err := os.Stat(filepath.Dir(opt.HeadSet)); err != nil {
			return nil, fmt.Errorf("the heads cannot be written: %w (make the directory first)", err)
		}
	}
	fits, reports, err := opt.userTexts()
	if err != nil {
		return nil, err
	}
	release, err := disk.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	defer debug.FreeOSMemory() // others live there too
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	b, noDraft, err := openBundle(ctx, dir, !opt.WithoutDraft)
	switch {
	case err != nil:
		return nil, err
	case noDraft != nil && opt.DraftOnly:
		return nil, noDraft
	case noDraft != nil && b.Manifest.Draft != nil && !opt.WithoutDraft:
		opt.noteNoDraft(noDraft)
	}
	r := &run{opt: opt, b: b, hasDraft: noDraft == nil, kernels: engine.Init("").Variant}
	if r.cache, err = opt.cacheDir(); err != nil {
		return nil, err
	}
	sweepCache(r.cache, time.Now())
	if len(fits) == 0 {
		if fits, reports, err = r.packagedTexts(ctx, reports); err != nil {
			return nil, err
		}
	}
	if err := r.enoughToPromise(reports); err != nil {
		return nil, err
	}
	switch {
	case opt.MeasureOnly:
		r.depths = b.Manifest.Exits
	case !opt.DraftOnly:
		r.depths = depths(b.Manifest)
	}
	if r.m, err = openModel(b, r.depths, opt.Threads); err != nil {
		return nil, err
	}
	defer r.m.close()
	if r.m.badTemplate != nil {
		opt.Note("the model is asked in bare words: %v", r.m.badTemplate)
	}
	r.tune.said = make([]int, b.Manifest.Vocab)
	if opt.DraftOnly {
		r.m.bare = true
		return r.draftOnly(ctx, fits, reports)
	}
	if opt.MeasureOnly {
		return r.measureOnly(ctx, fits, reports)
	}
	if r.fitter, err = engine.NewFitter(opt.Threads); err != nil {
		return nil, err
	}
	defer r.fitter.Close()
	return r.run(ctx, fits, reports)
}

// openBundle checks the files of a bundle that calibration reads, the draft's only where it is
// wanted. Where that cannot be used, noDraft says why.
func openBundle(ctx context.Context, dir string, draft bool) (b *bundle.Bundle, noDraft, err error) {
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, nil, err
	}
	roles := []bundle.Role{bundle.Board1, bundle.Unsplit}
	noDraft = fmt.Errorf("%w: %s has none: split the model again with --draft SMALL", bundle.ErrDraft, dir)
	switch {
	case !draft:
		noDraft = fmt.Errorf("%w: it is not asked for", bundle.ErrDraft)
	case m.Draft != nil:
		_, noDraft = bundle.Open(ctx, dir, bundle.DraftModel)
	}
	b, err = bundle.Open(ctx, dir, roles...)
	if errors.Is(err, bundle.ErrMissing) {
		err = fmt.Errorf("%w: calibration needs the whole model, so split without --no-unsplit", err)
	}
	return b, noDraft, err
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
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.tune == 0 {
		o.tune, o.report = tuneTokens, reportTokens
	}
	if o.prompts == 0 {
		o.prompts = slots
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	return o
}

func (o Options) noteNoDraft(why error) { o.Note("the draft model is not measured: %v", why) }

// cacheDir is where what was read and written is kept.
func (o Options) cacheDir() (string, error) {
	if o.Cache != "" {
		return o.Cache, nil
	}
	dir, err := fetch.CacheDir()
	return filepath.Join(dir, "calibration"), err
}

func (r *run) run(ctx context.Context, fits, reports []text) (*Result, error) {
	norm, err := readNorm(r.b)
	if err != nil {
		return nil, err
	}
	r.fit = newFit(r.fitter, norm, len(r.depths), r.opt.Tokens, r.opt.Seed)
	r.counts = make([]int, r.b.Manifest.Vocab)
	if err := r.stream(ctx, fits); err != nil {
		return nil, err
	}
	fitted, coverage, err := r.solve(ctx)
	if err != nil {
		return nil, err
	}
	c := &bundle.Calibration{Seed: r.opt.Seed, Tokens: r.fit.n, Steps: max(0, r.opt.Steps), CoverageTarget: coverageTarget, Coverage: coverage}
	res, err := r.conclude(ctx, fitted, c, reports)
	if err != nil {
		return nil, err
	}
	r.discard()
	return res, r.writeHeadSet(ctx)
}

// measureOnly measures the heads that the bundle has, and fits none.
func (r *run) measureOnly(ctx context.Context, fits, reports []text) (*Result, error) {
	m := r.b.Manifest
	if m.Calibration == nil {
		return nil, fmt.Errorf("%s: its exits are not fitted, so that there is nothing to measure: leave --measure-only out", r.b.Dir)
	}
	c, heads := *m.Calibration, []fittedHead(nil)
	for _, t := range c.Texts { // which the heads were made of
		if t.Use == "fit" || t.Use == "tune" && !r.hasDraft {
			r.texts = append(r.texts, t)
		}
	}
	for _, h := range m.Heads {
		f, err := r.b.FittedHead(ctx, h.Exit)
		if err != nil {
			return nil, err
		}
		if f == nil {
			return nil, fmt.Errorf("%s: exit %d has no fitted head to measure: leave --measure-only out", r.b.Dir, h.Exit)
		}
		heads = append(heads, fittedHead{f, h.Temperature})
	}
	if r.hasDraft { // whose temperature is chosen on other texts than it is measured on
		if err := r.stream(ctx, fits); err != nil {
			return nil, err
		}
	}
	res, err := r.conclude(ctx, heads, &c, reports)
	if err == nil {
		r.discard()
	}
	return res, err
}

// draftOnly measures the draft model, and fits nothing.
func (r *run) draftOnly(ctx context.Context, fits, reports []text) (*Result, error) {
	if err := r.stream(ctx, fits); err != nil {
		return nil, err
	}
	if err := r.measure(ctx, &report{said: counter{said: make([]int, r.b.Manifest.Vocab)}}, reports); err != nil {
		return nil, err
	}
	d, err := r.measureDraft(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.b.SetDraft(*d); err != nil {
		return nil, err
	}
	r.discard()
	return &Result{Draft: r.b.Manifest.Draft}, nil
}

// discard removes what was kept for a calibration that is to go on.
func (r *run) discard() {
	if r.opt.Keep {
		return
	}
	for _, path := range r.parts {
		os.Remove(path)
	}
}

// writeHeadSet writes the bundle's heads to a file of their own, if one is wanted.
func (r *run) writeHeadSet(ctx context.Context) error {
	if r.opt.HeadSet == "" {
		return nil
	}
	var set bytes.Buffer
	if err := r.b.WriteHeads(ctx, &set); err != nil {
		return err
	}
	return os.WriteFile(r.opt.HeadSet, set.Bytes(), 0o644)
}
