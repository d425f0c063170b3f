package node

import (
	"context"
	"fmt"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// This file is about a board whose cloud cannot be asked: what it answers with then,
// and what it says where that is nothing.

// loadRest opens what follows after exit 1, for when the cloud is lost. Its weights
// are mapped, and its KV cache is filled once it is needed. A board without it answers
// as long as the cloud does.
func (o *opening) loadRest(ctx context.Context) error {
	if o.loader.single {
		rest := NewLazyRest(o.loader.life, o.bundle, engine.Options{Context: o.rest, Threads: o.plan.Threads, GPULayers: o.loader.conf.GPULayers}, o.model.Exits[0].Stage.Width())
		o.closers = append(o.closers, rest.Close)
		o.model.Tail, o.model.TailContext = rest, o.rest
		return nil
	}
	o.report("loading", progressOf("loading "+bundle.Cloud.File(), 0, 0))
	s, err := o.openRest(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		o.rest, o.noRest = 0, err
		o.loader.log.Warn("a lost cloud will end answers: the rest of the model could not be loaded", "why", status.OneLine(err))
		return nil
	}
	o.closers = append(o.closers, s.Close)
	o.stages = append(o.stages, s)
	o.model.Tail, o.model.TailContext = s, o.rest
	return nil
}

func (o *opening) openRest(ctx context.Context) (*engine.Stage, error) {
	if _, err := bundle.Open(ctx, o.bundle.Dir, bundle.Cloud); err != nil {
		return nil, err
	}
	return engine.OpenStage(o.bundle.Path(bundle.Cloud),
		engine.Options{Context: o.rest * o.plan.Parallel, Sequences: o.plan.Parallel, Threads: o.plan.Threads, GPULayers: o.loader.conf.GPULayers})
}

// unable says why a conversation of so many positions would not be answered sensibly
// at present, nil where it would be.
func (o *opening) unable(positions int) error {
	exits := o.model.Exits
	switch {
	case o.mode == decode.Unsplit, o.model.Draft != nil, o.loader.conf.Mode == string(decode.Standalone), // as its owner wanted
		len(exits) > 0 && exits[len(exits)-1].Alone,
		o.model.Tail != nil && positions < o.model.TailContext:
		return nil
	case o.mode == decode.Standalone:
		return infer.Errorf(infer.Unavailable, "", "this board has no cloud, the whole model has no room here, and its exits alone are not worth hearing (%s): enrol it (skerry enroll CODE), take a smaller model, or set mode to standalone to hear them all the same", ExitsWorth(o.bundle.Manifest))
	}
	why, again := o.loader.unreachable(o.bundle.Manifest.ID())
	if why == "" {
		return nil
	}
	here := "the whole model is not on this board"
	switch {
	case o.model.Tail != nil:
		here = fmt.Sprintf("this board holds %d positions of the whole model, and these are %d", o.model.TailContext, positions)
	case o.noRest != nil:
		here += " (" + status.OneLine(o.noRest) + ")"
	}
	err := infer.Errorf(infer.Unavailable, "", "the cloud cannot be asked (%s), and %s: ask again once the link is back", why, here)
	err.RetryAfter = min(max(again, time.Second), time.Minute)
	return err
}

// alone says what answers while the cloud cannot be asked.
func (o *opening) alone() string {
	exits := o.model.Exits
	switch {
	case o.mode == decode.Unsplit:
		return "the whole model"
	case o.model.Draft != nil:
		return "the draft model " + o.bundle.Manifest.Draft.Name
	case o.model.Tail != nil && o.rest < o.plan.Context:
		return fmt.Sprintf("the whole model, up to %d positions", o.rest)
	case o.model.Tail != nil:
		return "the whole model"
	case len(exits) > 0 && exits[len(exits)-1].Alone:
		return "the deepest exit"
	case o.mode == decode.Standalone && o.loader.conf.Mode == string(decode.Standalone):
		return "the exits, as mode standalone says"
	case o.noRest != nil:
		return "nothing: " + status.OneLine(o.noRest)
	}
	return "nothing"
}

func (o *opening) exitsWorth() string {
	if o.model.Draft != nil {
		return ""
	}
	return ExitsWorth(o.bundle.Manifest)
}

// ExitsWorth says what the answers of a bundle's exits are worth.
func ExitsWorth(m *bundle.Manifest) string {
	if len(m.Heads) == 0 || len(m.Heads[len(m.Heads)-1].Measured) == 0 {
		return "nobody has measured how often they agree with the whole model: skerry model calibrate"
	}
	h := m.Heads[len(m.Heads)-1]
	says := fmt.Sprintf("of the tokens of the exit after block %d, %.0f %% agree with the whole model", h.Exit, 100*h.Measured[0].Agreement)
	if h.FreeText != nil {
		says += ", and " + h.FreeText.Text()
	}
	return says
}
