package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/chat/template"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink/wire"
)

// loader brings bundles into memory: the configured one, and others that are named.
type loader struct {
	conf  config.Config
	state string
	root  string // below which memory and its limits are read: "/" but in tests
	log   *slog.Logger
	known func(session string) bool // whether the journal has it; nil without one
	// openCloud opens the cloud of one slot; nil: the board is alone.
	openCloud func(ctx context.Context, mode infer.Mode, bundle wire.Hash, m decode.Model) (*CloudSession, error)
	// takesTokens says whether the cloud is sent token ids of a bundle; nil: never.
	takesTokens func(ctx context.Context, bundle wire.Hash) bool
	// wants is told which bundle the cloud is to have; nil: nobody is.
	wants func(bundle wire.Hash)
	// pullCloud fetches a bundle of the cloud; nil: there is none.
	pullCloud func(ctx context.Context, name string, whole bool, step func(what string, done, total int64)) (dir string, err error)
	// unreachable says why the cloud cannot be asked about a bundle at present and when
	// it is tried again; "" while it can. It is wanted where openCloud is, but for single.
	unreachable func(bundle wire.Hash) (why string, again time.Duration)
	// single is set for one conversation of one program: a cloud whose session cannot be
	// opened is an error then, a context that the model was not trained for is cut, and the
	// rest of the model is opened once it is needed, so that who never needs it pays nothing.
	single bool
	// opened, where it is set, is told of a model that was loaded.
	opened func(loadedModel)
	life   context.Context // of that program's use of the board, where single
	loaded *opening        // the last that succeeded; read once the core has the model
	models shelf

	mu   sync.Mutex         // guards all following
	held map[*opening]int64 // bytes that the loaded models were planned to take
	// toCalibrate are the bundles that were loaded, by directory, whose modes have a use for
	// what a calibration finds out.
	toCalibrate map[string]*calibrated
}

var _ server.Loader = (*loader)(nil)

// prefixCacheDir is where the KV cache of prefixes lies below the state directory.
func prefixCacheDir(state string) string { return filepath.Join(state, "cache") }

// Load checks a model's bundle and opens what the mode computes with. The default model is
// fetched or split first, where need be.
func (l *loader) Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (_ *server.Model, err error) {
	dir := of.Path
	if dir == "" {
		if dir, err = l.prepare(ctx, report); err != nil {
			return nil, err
		}
	}
	report(status.Loading, status.Progress{What: "checking " + filepath.Base(dir), Share: -1})
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	mode := l.mode(dir, man)
	if err := l.roomBeside(dir, man, mode); err != nil { // before files are read that take a while
		return nil, err
	}
	if l.wants != nil && decode.NeedsCloud(mode) && (of.Path == "" || of.Path == l.defaultModel().Path) {
		l.wants(man.ID())
	}
	b, noDraft, err := OpenBundle(ctx, dir, man, mode)
	if err != nil {
		return nil, err
	}
	if !l.wantsDraft(mode) {
		b.Manifest = withoutDraft(b.Manifest)
	}
	release, err := disk.Use(dir) // as long as it is loaded nobody removes it
	if err != nil {
		return nil, err
	}
	o := &opening{loader: l, bundle: b, mode: mode, report: report}
	o.closers = append(o.closers, release)
	o.beside()
	o.logNoDraft(noDraft)
	o.chooseTokens(ctx)
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	m, err := o.open(ctx)
	if err == nil {
		l.loaded = o
		l.hold(o)
		m.Close = func() {
			o.close()
			l.letGo(o)
		}
		l.noteLoaded(o)
		if l.opened != nil {
			l.opened(loadedModel{dir: dir, manifest: o.bundle.Manifest, modes: m.Modes, ids: o.tokens, whole: o.model.Tail != nil && o.model.Draft == nil, exits: o.model.Draft == nil, checked: o.model.Learnt.Accepted, thresholds: len(l.conf.Threshold) > 0})
		}
	}
	return m, err
}

// prepare returns the configured bundle's directory, or the default model's, and
// fetches and splits what is not there yet. The log says each step, since that may
// take minutes in which the daemon answers nothing.
func (l *loader) prepare(ctx context.Context, report func(status.State, status.Progress)) (string, error) {
	steps := stepLog{log: l.log}
	step := func(work string) func(what string, done, total int64) {
		return func(what string, done, total int64) {
			report(status.Fetching, progressOf(what, done, total))
			steps.step(work, what, done, total)
		}
	}
	if l.conf.Model != "" {
		p, err := l.pullNamed(ctx, l.conf.Model, step("fetching the model"))
		return p.Dir, err
	}
	if l.conf.Bundle != "" {
		return prepare.Path(ctx, l.conf.Bundle, l.conf.Split, step("splitting the model"))
	}
	return prepare.Default(ctx, step("fetching the model"), step("splitting the model"))
}

// stepLog logs long work: each step as it begins, and every ten seconds how far it is.
type stepLog struct {
	log  *slog.Logger
	name string
	last time.Time
}

func (s *stepLog) step(work, what string, done, total int64) {
	now := time.Now()
	if name := work + what; name != s.name {
		s.name, s.last = name, now
		s.log.Info(work, "step", what)
	} else if now.Sub(s.last) >= 10*time.Second && total > 0 {
		s.last = now
		s.log.Info(work, "step", what, "percent", 100*done/total)
	}
}

// autoMode leaves the mode to the daemon.
const autoMode = "auto"

// wantsCloud says whether a mode of the configuration asks a cloud where there is one.
func wantsCloud(mode string) bool { return mode == autoMode || decode.NeedsCloud(infer.Mode(mode)) }

// mode to decode in. Without a cloud the board is alone: with the whole model where
// memory has room for it, else with what its exits say, where they are worth hearing.
func (l *loader) mode(dir string, man *bundle.Manifest) infer.Mode {
	mode, notWhole := l.modeOf(dir, man)
	if notWhole != nil {
		l.log.Info("the whole model is not loaded", "why", status.OneLine(notWhole))
	}
	return mode
}

// modeOf is mode, and why it is not that of the whole model where it might have been.
func (l *loader) modeOf(dir string, man *bundle.Manifest) (mode infer.Mode, notWhole error) {
	mode = infer.Mode(l.conf.Mode)
	switch {
	case mode != autoMode && (!decode.NeedsCloud(mode) || l.openCloud != nil):
		return mode, nil
	case l.openCloud != nil:
		return decode.Collaborative, nil
	}
	o := &opening{loader: l, bundle: &bundle.Bundle{Dir: dir, Manifest: withoutDraft(man)}, mode: decode.Unsplit}
	if err := o.fit(); err != nil {
		return decode.Standalone, err
	}
	return decode.Unsplit, nil
}

func progressOf(what string, done, total int64) status.Progress {
	p := status.Progress{What: what, Share: -1}
	if total > 0 {
		p.Share = float64(done) / float64(total)
	}
	return p
}

// opening is a bundle on its way into memory.
type opening struct {
	loader *loader
	bundle *bundle.Bundle
	mode   infer.Mode
	report func(status.State, status.Progress)
	plan   batch.Plan
	// held are bytes of memory that loaded models have been planned to take, and context the
	// positions of a conversation that the model is planned for without them; both 0 where
	// none is loaded.
	held    int64
	context int
	// aloneRest is what rest would be without them.
	aloneRest int
	// memoryUnknown is why nothing is known of memory, nil where it is.
	memoryUnknown error
	roles         []bundle.Role // of the stages to load, in their order
	rest          int           // positions of a conversation that the rest of the model may hold; 0: it is not loaded
	noRest        error         // why
	noDraft       error         // why the bundle's draft model is not used, nil where it is or there is none
	tokens        bool          // token ids go up, and no block of the model is here
	model         decode.Model
	stages        []*engine.Stage
	closers       []func()
}

func (o *opening) close() {
	for i := len(o.closers) - 1; i >= 0; i-- {
		o.closers[i]()
	}
}

func (o *opening) open(ctx context.Context) (*server.Model, error) {
	if err := o.fitWithDraft(ctx); err != nil {
		return nil, o.crowded(ctx, err)
	}
	if o.memoryUnknown != nil {
		o.loader.log.Warn("it is not known whether the model fits: what the configuration leaves open is set as small as possible",
			"why", status.OneLine(o.memoryUnknown), "context", o.plan.Context, "parallel", o.plan.Parallel)
	}
	if err := o.loadWithDraft(ctx); err != nil {
		return nil, err
	}
	man := o.bundle.Manifest
	opt := batch.Options{
		Sequences: o.plan.Parallel, Queue: o.loader.conf.Queue, Log: o.loader.log,
		Cache: batch.Cache{
			Dir: prefixCacheDir(o.loader.state), Bytes: int64(o.loader.conf.Cache), Bundle: o.cacheName(),
			Unnamed: o.loader.conf.CacheAll, Known: o.loader.known, Beside: o.held > 0,
		},
	}
	if opt.Cache.Bytes == 0 {
		opt.Cache.Dir = ""
	}
	var refused error
	if o.loader.openCloud != nil && decode.NeedsCloud(o.mode) {
		opt.Open = func(int) (decode.Cloud, error) {
			link, err := o.loader.openCloud(ctx, o.mode, man.ID(), o.model)
			if err != nil {
				refused = err
				return nil, err
			}
			return link, nil
		}
	}
	o.model.Learnt = new(decode.Learnt)
	s, err := batch.New(o.model, opt)
	if err != nil {
		return nil, err
	}
	if refused != nil && o.loader.single {
		s.Close()
		return nil, refused
	}
	v := o.model.Vocab
	m := &server.Model{Vocab: v, Longest: v.Longest(), Slots: slots{s}, Modes: o.modes(), SetThreads: o.setThreads, Close: o.close}
	m.Images, m.NoImages = o.loadProjector(ctx)
	if source := v.Template(); source != "" {
		m.Template, m.TemplateErr = template.New(source, v.BOS(), v.EOS())
		if err := cmp.Or(m.TemplateErr, m.Template.Problem()); err != nil {
			o.loader.log.Error("requests with messages will fail, plain prompts will not", "error", status.OneLine(err))
		}
	}
	if !o.loader.single { // one who has waited for the cloud himself was told, and chose what answers without it
		m.Unable = o.unable
	}
	m.Info, m.Status = o.describe(m.Template)
	m.Info.Vision = m.Images != nil
	return m, nil
}

// modes in which answers may be decoded, the usual one first. Which are chosen among where the
// mode is left to the daemon says outlook.
func (o *opening) modes() []infer.Mode {
	switch {
	case o.mode == decode.Collaborative && o.loader.conf.Mode == autoMode && o.tokens:
		return []infer.Mode{decode.Collaborative, decode.Verified, decode.CloudLed, decode.Standalone}
	case o.mode == decode.Collaborative && o.loader.conf.Mode == autoMode && o.exact():
		return []infer.Mode{decode.Collaborative, decode.Verified, decode.Standalone}
	case o.mode == decode.Collaborative:
		return []infer.Mode{decode.Collaborative, decode.Standalone}
	case o.mode == decode.CloudLed:
		return []infer.Mode{decode.CloudLed, decode.Verified, decode.Collaborative, decode.Standalone}
	case o.mode == decode.Verified && o.tokens:
		return []infer.Mode{decode.Verified, decode.CloudLed, decode.Collaborative, decode.Standalone}
	case o.mode == decode.Verified: // whose session with the cloud is exact, which collaborative's need not be
		return []infer.Mode{decode.Verified, decode.Collaborative, decode.Standalone}
	}
	return []infer.Mode{o.mode}
}

// exact reports whether the cloud computes with just what this board has computed: token ids
// go up, or hidden states in an encoding that loses nothing.
func (o *opening) exact() bool {
	e, ok := wire.EncodingNamed(o.loader.conf.Cloud.Encoding)
	return o.tokens || !ok || e.Exact
}

// setThreads has every stage compute with n threads.
func (o *opening) setThreads(n int) {
	for _, s := range o.stages {
		s.SetThreads(n)
	}
}

// load opens the stages that the mode needs.
func (o *opening) load(ctx context.Context) error {
	st, err := OpenStages(ctx, o.bundle, o.roles, StageOptions{
		Options:  engine.Options{Context: o.plan.Positions, Sequences: o.plan.Parallel, Threads: o.plan.Threads, GPULayers: o.loader.conf.GPULayers},
		FullHead: true,
		Report: func(role bundle.Role, opened, total int) {
			o.report(status.Loading, progressOf("loading "+role.File(), int64(opened), int64(total)))
		},
	})
	if err != nil {
		return err
	}
	o.closers = append(o.closers, st.Close)
	o.stages = append(o.stages, st.All...)
	o.model.Context, o.model.Vocab, o.model.Exits = o.plan.Context, st.Vocab, st.Exits
	o.model.Draft = st.Draft
	if o.tokens {
		o.model.Exits = tokenExits()
	}
	if st.Whole != nil { // a nil stage in an interface would be one
		o.model.Whole = st.Whole
	}
	if o.rest > 0 {
		return o.loadRest(ctx)
	}
	return nil
}

// BundleID is the id of a bundle, in hex.
func BundleID(m *bundle.Manifest) string {
	id := m.ID()
	return hex.EncodeToString(id[:])
}
