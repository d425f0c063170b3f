// Package draftmodel opens the draft model of a bundle as the token loop knows it: on a board
// that drafts, and in a cloud that does.
package draftmodel

import (
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// Open opens the draft model alone. The stage is the caller's to close. Its errors wrap
// bundle.ErrDraft.
func Open(b *bundle.Bundle, o engine.Options) (*engine.Stage, *decode.DraftModel, error) {
	s, err := engine.OpenStage(b.Path(bundle.DraftModel), o)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", bundle.ErrDraft, err)
	}
	return s, Of(s, b.Manifest.Draft), nil
}

// Of is a stage of the draft's file with what the manifest says of the draft.
func Of(s *engine.Stage, d *bundle.Draft) *decode.DraftModel {
	m := &decode.DraftModel{Stage: s, Tokens: d.Tokens, Context: d.ContextLength, Threshold: d.Threshold, Temperature: d.Temperature, Cost: d.Cost}
	right, of := 0., 0.
	for _, k := range d.Measured {
		right, of = right+k.Agreement*float64(k.Tokens), of+float64(k.Tokens)
	}
	if of > 0 {
		m.Acceptance = right / of
	}
	for _, e := range d.Ends {
		m.Ends = append(m.Ends, decode.EndToken{Draft: e.Draft, Model: e.Model})
	}
	return m
}
