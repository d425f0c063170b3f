package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	ans "skerry/appliance/answer"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/chat"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/slots"
	"skerry/appliance/engine"
	"skerry/appliance/serve"
	"skerry/appliance/status"
	"skerry/cloudlink/wire"
)

// modelLoader brings the configured bundle into memory.
type modelLoader struct {
	conf  config.Config
	state string
	log   *slog.Logger
	// openCloud opens the cloud of one slot; nil: the board is alone.
	openCloud func(mode decode.Mode, bundle wire.Hash, m decode.Model) (*boardLink, error)
}

var _ serve.Loader = (*modelLoader)(nil)

// Load fetches the default model where no bundle is configured, checks the bundle and
// opens what the mode computes with.
func (l *modelLoader) Load(ctx context.Context, report func(status.State, status.Progress)) (_ *serve.Model, err error) {
	dir := l.conf.Bundle
	if dir == "" {
		step := func(what string, done, total int64) { report(status.Fetching, progressOf(what, done, total)) }
		if dir, err = prepareDefault(ctx, step, step); err != nil {
			return nil, err
		}
	}
	report(status.Loading, status.Progress{What: "checking " + filepath.Base(dir), Share: -1})
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	mode := l.mode(dir, man)
	b, err := bundle.Open(ctx, dir, boardRoles(man, mode)...)
	if err != nil {
		return nil, err
	}
	o := &opening{loader: l, bundle: b, mode: mode, report: report}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	return o.open(ctx)
}

// autoMode leaves the mode to the daemon.
const autoMode = "auto"

// wantsCloud says whether a mode of the configuration asks a cloud where there is one.
func wantsCloud(mode string) bool { return mode == autoMode || decode.Mode(mode).NeedsCloud() }

// mode to decode in. Without a cloud the board is alone: with the whole model where
// it is to choose and memory has room for it, else with what its exits say.
func (l *modelLoader) mode(dir string, man *bundle.Manifest) decode.Mode {
	mode := decode.Mode(l.conf.Mode)
	switch {
	case mode != autoMode && (!mode.NeedsCloud() || l.openCloud != nil):
		return mode
	case l.openCloud != nil:
		return decode.Collaborative
	case mode != autoMode:
		return decode.Standalone
	}
	o := &opening{loader: l, bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: decode.Unsplit}
	if err := o.fit(); err != nil {
		l.log.Info("the whole model is not loaded", "why", oneLine(err))
		return decode.Standalone
	}
	return decode.Unsplit
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
	loader  *modelLoader
	bundle  *bundle.Bundle
	mode    decode.Mode
	report  func(status.State, status.Progress)
	plan    slots.Plan
	model   decode.Model
	stages  []*engine.Stage
	closers []func()
}

func (o *opening) close() {
	for i := len(o.closers) - 1; i >= 0; i-- {
		o.closers[i]()
	}
}

func (o *opening) open(ctx context.Context) (*serve.Model, error) {
	if err := o.fit(); err != nil {
		return nil, err
	}
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	man := o.bundle.Manifest
	s := &daemonSlots{clouds: map[int]*boardLink{}}
	opt := slots.Options{
		Sequences: o.plan.Parallel, Queue: o.loader.conf.Queue, Log: o.loader.log,
		Cache: slots.Cache{Dir: filepath.Join(o.loader.state, "cache"), Bytes: int64(o.loader.conf.Cache), Bundle: fmt.Sprintf("%s/%d", hexID(man), o.plan.Parallel)},
	}
	if opt.Cache.Bytes == 0 {
		opt.Cache.Dir = ""
	}
	if o.loader.openCloud != nil && o.mode.NeedsCloud() {
		opt.Open = func(seq int) (decode.Cloud, error) {
			link, err := o.loader.openCloud(o.mode, man.ID(), o.model)
			if err != nil {
				return nil, err
			}
			s.opened(seq, link)
			return closingLink{link}, nil
		}
	}
	var err error
	if s.Slots, err = slots.New(o.model, opt); err != nil {
		return nil, err
	}
	v := o.model.Vocab
	m := &serve.Model{Vocab: v, Chat: v.Chat, Slots: s, Modes: o.modes(), SetThreads: o.setThreads, Close: o.close}
	if source := v.Template(); source != "" {
		if m.Template, err = chat.NewTemplate(source, v.BOS(), v.EOS()); err != nil {
			o.loader.log.Warn("the chat template is rendered as llama.cpp knows it, without tools", "error", oneLine(err))
			m.Template = nil
		}
	}
	m.Info, m.Status = o.describe(m.Template)
	return m, nil
}

func (o *opening) modes() []decode.Mode {
	if o.mode == decode.Collaborative {
		return []decode.Mode{decode.Collaborative, decode.Standalone}
	}
	return []decode.Mode{o.mode}
}

// setThreads has every stage compute with n threads.
func (o *opening) setThreads(n int) {
	for _, s := range o.stages {
		s.SetThreads(n)
	}
}

// load opens the stages that the mode needs.
func (o *opening) load(ctx context.Context) error {
	opt := engine.Options{Context: o.plan.Positions, Sequences: o.plan.Parallel, Threads: o.plan.Threads}
	roles := boardRoles(o.bundle.Manifest, o.mode)
	o.model.Context = o.plan.Context
	for i, role := range roles {
		if err := ctx.Err(); err != nil {
			return err
		}
		o.report(status.Loading, progressOf("loading "+role.File(), int64(i), int64(len(roles))))
		s, err := engine.OpenStage(o.bundle.Path(role), opt)
		if err != nil {
			return err
		}
		o.closers = append(o.closers, s.Close)
		o.stages = append(o.stages, s)
		if i == 0 {
			o.model.Vocab = s.Vocab()
			o.closers = append(o.closers, o.model.Vocab.Close)
		}
		if role == bundle.Unsplit {
			o.model.Whole = s
			continue
		}
		exit := o.bundle.Manifest.Heads[i]
		fitted, err := o.bundle.FittedHead(ctx, exit.Exit)
		if err != nil {
			return err
		}
		h, err := calibrate.NewHead(o.bundle, fitted, s, o.stages[0], engine.HeadOptions{Threads: s.Options().Threads})
		if err != nil {
			return err
		}
		o.closers = append(o.closers, h.Close)
		e := decode.Exit{Stage: s, Head: h, Threshold: exit.Threshold}
		if deepest := i == len(roles)-1; deepest && h.Tokens() != nil {
			full, err := calibrate.NewFullHead(fitted, s, o.stages[0], engine.HeadOptions{Threads: s.Options().Threads})
			if err != nil {
				return err
			}
			o.closers = append(o.closers, full.Close)
			e.Full = full
		}
		o.model.Exits = append(o.model.Exits, e)
	}
	return nil
}

func hexID(m *bundle.Manifest) string {
	id := m.ID()
	return hex.EncodeToString(id[:])
}

// Models are the configured bundle and those in the cache.
func (l *modelLoader) Models() []ans.Model {
	var dirs []string
	if l.conf.Bundle != "" {
		dirs = append(dirs, l.conf.Bundle)
	}
	if cache, err := bundle.CacheDir(); err == nil {
		found, _ := filepath.Glob(filepath.Join(cache, "bundles", "*", bundle.ManifestFile))
		for _, f := range found {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	var out []ans.Model
	for _, d := range dirs {
		if m, err := bundle.ReadManifest(d); err == nil {
			out = append(out, describeBundle(d, m))
		}
	}
	return out
}

// Pull fetches a model into the cache and splits it; the default model by its name.
func (l *modelLoader) Pull(ctx context.Context, name string, progress func(ans.Progress)) error {
	step := func(work string) func(string, int64, int64) {
		return func(what string, done, total int64) {
			progress(ans.Progress{What: work + what, Done: done, Total: total})
		}
	}
	if name == "" || name == bundle.DefaultName {
		_, err := prepareDefault(ctx, step(""), step("splitting: "))
		return err
	}
	if filepath.Base(name) == name { // a plain name: nothing says where it would come from
		for _, m := range l.Models() {
			if m.Name == name {
				return nil
			}
		}
		return ans.Errorf(ans.NoModel, "model", "nobody knows where to fetch %q: give hf:OWNER/REPO/FILE.gguf, or %s", name, bundle.DefaultName)
	}
	_, err := bundle.Fetch(ctx, name, bundle.FetchOptions{Progress: step("")})
	return err
}

var errNoDefault = errors.New("the default model is not to be had")

// prepareDefault returns the directory of the default model's bundle, fetched and
// split if need be.
func prepareDefault(ctx context.Context, fetching, splitting func(what string, done, total int64)) (string, error) {
	cache, err := bundle.CacheDir()
	if err != nil {
		return "", err
	}
	dir := defaultBundleDir(cache)
	if _, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	src, err := bundle.Fetch(ctx, "", bundle.FetchOptions{Progress: fetching})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoDefault, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	_, err = splitInto(ctx, splitting, src, dir, bundle.Options{})
	return dir, err
}
