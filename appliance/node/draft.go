package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// This file is about a bundle's draft model: what it is for the rest of the board, and how
// the board goes on where it cannot be used.

// cacheName is what the cache of prefixes knows this model by. Of the draft the bundle's id
// says nothing, and of parallel the length of what is kept depends.
func (o *opening) cacheName() string {
	name := fmt.Sprintf("%s/%d", BundleID(o.bundle.Manifest), o.plan.Parallel)
	if o.model.Draft != nil {
		name += "/" + o.bundle.Manifest.Draft.SHA256
	}
	if o.tokens {
		name += "/ids"
	}
	return name
}

// withoutDraft is a manifest as if the bundle had no draft.
func withoutDraft(m *bundle.Manifest) *bundle.Manifest {
	without := *m
	without.Draft = nil
	return &without
}

// wantsDraft says whether the draft model has anything to do beside the whole model. Where it
// speaks when the cloud is lost it always has.
func (l *loader) wantsDraft(mode infer.Mode) bool {
	d := infer.Drafting(l.conf.Draft)
	return decode.SpecOf(mode).Stages != decode.WholeModel || d == infer.DraftAuto || d == infer.DraftModel || d == ""
}

// openWithoutDraft checks what the mode computes with where there is no draft.
func openWithoutDraft(ctx context.Context, dir string, m *bundle.Manifest, mode infer.Mode) (*bundle.Bundle, error) {
	without := withoutDraft(m)
	b, err := bundle.Open(ctx, dir, BoardRoles(without, mode)...)
	if err == nil {
		b.Manifest = without
	}
	return b, err
}

// fitWithDraft is fit, or where the draft model cannot go along, that of a board without:
// where memory has no room for it, or the configured context is longer than it was trained
// with, which is then for the model alone to say.
func (o *opening) fitWithDraft(ctx context.Context) error {
	why := o.draftTooShort()
	if why == nil {
		if why = o.fit(); o.bundle.Manifest.Draft == nil || !errors.Is(why, batch.ErrMemory) {
			return why
		}
	}
	without := o.goWithoutDraft(ctx, why)
	switch memory := errors.Is(why, batch.ErrMemory); {
	case without == nil:
		return nil
	case memory && errors.Is(without, batch.ErrMemory):
		return why
	case memory:
		return fmt.Errorf("%w; and without the draft: %w", why, without)
	}
	return without
}

// draftTooShort says that the draft model was trained with a shorter context than is
// configured, where the bundle's model was not; nil else, and where the mode uses no draft.
func (o *opening) draftTooShort() error {
	man, want := o.bundle.Manifest, o.loader.conf.Context
	d := man.Draft
	if d == nil || want <= d.ContextLength || man.ContextLength <= d.ContextLength || !slices.Contains(BoardRoles(man, o.mode), bundle.DraftModel) {
		return nil
	}
	return fmt.Errorf("context is %d, the draft was trained with %d: set context to %[2]d or less to have it speak", want, d.ContextLength)
}

// loadWithDraft is load, or where the draft model cannot be opened, that of a board without.
func (o *opening) loadWithDraft(ctx context.Context) error {
	err := o.load(ctx)
	if !errors.Is(err, bundle.ErrDraft) {
		return err
	}
	if without := o.goWithoutDraft(ctx, err); without != nil {
		return fmt.Errorf("%w; and without it: %w", err, without)
	}
	return o.load(ctx)
}

// goWithoutDraft has the board be loaded as if the bundle had no draft, and logs why. An
// error changes nothing.
func (o *opening) goWithoutDraft(ctx context.Context, why error) error {
	b, err := openWithoutDraft(ctx, o.bundle.Dir, o.bundle.Manifest, o.mode)
	if err != nil {
		return err
	}
	without := *o
	without.bundle, without.tokens = b, false
	if err := without.fit(); err != nil {
		return err
	}
	*o = without
	o.logNoDraft(why)
	return nil
}

// logNoDraft says why the bundle's draft model is not used; nil is no reason.
func (o *opening) logNoDraft(why error) {
	if why != nil {
		o.noDraft = why
		what := "going on without the draft model: the exits speak in its place"
		if decode.SpecOf(o.mode).Stages == decode.WholeModel {
			what = "going on without the draft model: no tokens are drafted by it"
		}
		o.loader.log.Warn(what, "why", status.OneLine(why))
	}
}
