package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/bundle/draftmodel"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// StageOptions of OpenStages.
type StageOptions struct {
	engine.Options
	// FullHead gives the deepest exit, where its head has a shortlist, one over the whole
	// vocabulary too, which costs memory and answers what a grammar or logprobs ask for.
	FullHead bool
	// Report is told before each stage is opened, which takes seconds; nil for nobody.
	Report func(role bundle.Role, opened, total int)
}

// Stages are a bundle's stages in memory with their exit heads.
type Stages struct {
	All     []*engine.Stage // in the order of their roles
	Vocab   *engine.Vocab
	Whole   *engine.Stage      // of mode unsplit, else nil
	Exits   []decode.Exit      // in the order of depth
	Draft   *decode.DraftModel // nil for none
	closers []func()
}

// BoardRoles are the files that a mode computes with on the board. A draft model speaks in
// place of the exits: beside it only the first stage is wanted, for its hidden states, and
// not even that in a mode that asks no cloud. Beside the whole model it drafts.
func BoardRoles(m *bundle.Manifest, mode infer.Mode) []bundle.Role {
	spec := decode.SpecOf(mode)
	switch {
	case spec.Stages == decode.WholeModel && spec.Speculates && m.Draft != nil:
		return []bundle.Role{bundle.Unsplit, bundle.DraftModel}
	case spec.Stages == decode.WholeModel:
		return []bundle.Role{bundle.Unsplit}
	case spec.Drafts && m.Draft != nil && spec.Cloud:
		return []bundle.Role{bundle.Board1, bundle.DraftModel}
	case spec.Drafts && m.Draft != nil:
		return []bundle.Role{bundle.DraftModel}
	}
	return []bundle.Role{bundle.Board1, bundle.Board2}[:len(m.Exits)]
}

// OpenBundle checks the files that a mode computes with. A draft that cannot be used, or was
// found to make no sense, is no reason to refuse the rest: it is then left out of the manifest that is returned, and
// noDraft says why.
func OpenBundle(ctx context.Context, dir string, m *bundle.Manifest, mode infer.Mode) (b *bundle.Bundle, noDraft, err error) {
	roles := BoardRoles(m, mode)
	if slices.Contains(roles, bundle.DraftModel) && !m.Draft.Speaks() {
		noDraft = fmt.Errorf("%w: %s: split the model again with another --draft SMALL", bundle.ErrDraft, m.Draft.FreeText.Text())
		b, err = openWithoutDraft(ctx, dir, m, mode)
		return b, noDraft, err
	}
	if slices.Equal(roles, []bundle.Role{bundle.DraftModel}) {
		roles = append(roles, bundle.Board1) // for its vocabulary
	}
	b, err = bundle.Open(ctx, dir, roles...)
	if !errors.Is(err, bundle.ErrDraft) {
		return b, nil, err
	}
	noDraft = err
	b, err = openWithoutDraft(ctx, dir, m, mode)
	return b, noDraft, err
}

// OpenStages opens the stages of the roles, the first before the second. It returns soon
// after ctx ends. Its errors wrap bundle.ErrDraft where the draft is to blame.
func OpenStages(ctx context.Context, b *bundle.Bundle, roles []bundle.Role, o StageOptions) (_ *Stages, err error) {
	st := &Stages{}
	defer func() {
		if err != nil {
			st.Close()
		}
	}()
	for i, role := range roles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o.Report != nil {
			o.Report(role, i, len(roles))
		}
		opt := o.Options
		opt.HeadOnCPU = role == bundle.Board1 || role == bundle.Board2 // exit heads share them
		s, err := engine.OpenStage(b.Path(role), opt)
		if err != nil && role == bundle.DraftModel {
			err = fmt.Errorf("%w: %w", bundle.ErrDraft, err)
		}
		if err != nil {
			return nil, err
		}
		st.closers = append(st.closers, s.Close)
		st.All = append(st.All, s)
		if i == 0 && role != bundle.DraftModel {
			st.Vocab = s.Vocab()
			st.closers = append(st.closers, st.Vocab.Close)
		}
		if role == bundle.DraftModel {
			st.Draft = draftmodel.Of(s, b.Manifest.Draft)
			continue
		}
		if role == bundle.Unsplit {
			st.Whole = s
			continue
		}
		if err := st.openHead(ctx, b, i, o.FullHead && deepest(roles, i)); err != nil {
			return nil, err
		}
	}
	if st.Vocab == nil { // a draft model alone: text is tokens of the bundle's model all the same
		if st.Vocab, err = engine.OpenVocab(b.Path(bundle.Board1)); err != nil {
			return nil, err
		}
		st.closers = append(st.closers, st.Vocab.Close)
	}
	return st, nil
}

// deepest reports whether the i-th role is the last one with an exit: behind it only a draft
// model may come, in whose place the exit speaks where that is given up.
func deepest(roles []bundle.Role, i int) bool {
	return i == len(roles)-1 || roles[i+1] == bundle.DraftModel
}

// openHead opens the exit head behind the i-th stage, with full also that over the whole
// vocabulary.
func (st *Stages) openHead(ctx context.Context, b *bundle.Bundle, i int, full bool) error {
	s, exit := st.All[i], b.Manifest.Heads[i]
	fitted, err := b.FittedHead(ctx, exit.Exit)
	if err != nil {
		return err
	}
	opt := engine.HeadOptions{Threads: s.Options().Threads}
	h, err := calibrate.NewHead(b, fitted, s, st.All[0], opt)
	if err != nil {
		return err
	}
	st.closers = append(st.closers, h.Close)
	e := decode.Exit{Stage: s, Head: h, Threshold: exit.Threshold, Alone: calibrate.SpeaksAlone(exit)}
	if full && h.Tokens() != nil {
		whole, err := calibrate.NewFullHead(fitted, s, st.All[0], opt)
		if err != nil {
			return err
		}
		st.closers = append(st.closers, whole.Close)
		e.Full = whole
	}
	st.Exits = append(st.Exits, e)
	return nil
}

// Close frees the stages, the last opened first.
func (st *Stages) Close() {
	for i := len(st.closers) - 1; i >= 0; i-- {
		st.closers[i]()
	}
	st.closers = nil
}
