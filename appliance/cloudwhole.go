package main

import (
	"context"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/cloudlink/partition"
)

// openWhole loads the whole model of the bundle in dir, for boards whose tokens
// may be seen here.
func openWhole(ctx context.Context, dir string, o engine.Options) (*engine.Stage, error) {
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return nil, fmt.Errorf("%s: the whole model is not in the bundle: split it without --no-unsplit, or leave --whole out", dir)
	}
	b, err := bundle.Open(ctx, dir, bundle.Unsplit)
	if err != nil {
		return nil, err
	}
	return engine.OpenStage(b.Path(bundle.Unsplit), o)
}

// wholeStage is all blocks of a model as the partition wants them.
type wholeStage struct{ tailStage }

func newWholeStage(s *engine.Stage) *wholeStage { return &wholeStage{tailStage{s}} }

func (w *wholeStage) Forward(rows []partition.Row) ([][]float32, error) {
	b := engine.Batch{Tokens: make([]int32, 0, len(rows))}
	for _, r := range rows {
		b.Tokens = append(b.Tokens, r.Token)
	}
	return w.forward(b, rows)
}
