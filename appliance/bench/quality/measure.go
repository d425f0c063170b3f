package quality

import (
	"context"
	"errors"
	"fmt"

	"skerry/appliance/bench/quality/sandbox"
	"skerry/appliance/bench/remote"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/cloudlink/linksim"
)

// Options of a measurement. Zero values are usable but for Tasks, Modes, Bundle and State.
type Options struct {
	Bundle    *bundle.Bundle
	Tasks     []Task
	Modes     []strategies.Variant // of ParseModes
	MaxTokens int                  // 0: what is usual for the kind
	Limit     int                  // that the tasks were loaded with, for the report
	Seed      uint64               // of the intervals
	Version   string               // of this program
	State     string               // where certificates are kept
	// Unconfined runs programs without namespaces; SandboxArgs has this program call
	// sandbox.Enter.
	Unconfined  bool
	SandboxArgs []string
	// Progress may be nil.
	Progress func(step string, done, total int64)
}

// mostContext is the most positions of a question and its answer.
const mostContext = 4096

// How programs were run.
const (
	Confined   = "confined"
	Unconfined = "unconfined"
)

// Measure loads the model as a board has it, starts a cloud partition beside it where a mode
// asks one, and has the modes answer.
func Measure(ctx context.Context, o Options) (*Report, error) {
	b := Bench{Modes: o.Modes, MaxTokens: o.MaxTokens, Seed: o.Seed, Progress: o.Progress}
	how, err := b.openRunner(ctx, o)
	if err != nil {
		return nil, err
	}
	asked, positions, err := b.ask(o)
	if err != nil {
		return nil, err
	}
	edge, err := remote.OpenStages(ctx, o.Bundle, min(positions, mostContext))
	if err != nil {
		return nil, err
	}
	defer edge.Close()
	if err := edge.OpenWhole(o.Bundle); err != nil {
		return nil, err
	}
	board := &board{model: edge.Model}
	for _, v := range o.Modes {
		if decode.NeedsCloud(v.Mode) && board.cloud == nil {
			cloud, err := remote.Start(remote.Options{Version: o.Version, State: o.State, Bundle: o.Bundle, Model: edge.Model, Core: -1})
			if err != nil {
				return nil, err
			}
			defer cloud.Stop()
			board.cloud = cloud
		}
	}
	defer board.hangUp()
	b.Context, b.Answer = edge.Model.Context, board.answer
	r := &Report{}
	if r.Tasks, err = b.Run(ctx, asked); err != nil {
		return nil, err
	}
	m := o.Bundle.Manifest
	r.Run = Run{Model: m.Name, Blocks: m.Blocks, Exits: m.Exits, Kernels: engine.Init("").Variant, Limit: o.Limit, Context: b.Context,
		Seed: o.Seed, Resamples: resamples, Code: how}
	for _, v := range o.Modes {
		r.Run.Modes = append(r.Run.Modes, v.Name)
	}
	return r, nil
}

// openRunner opens a sandbox where a task has programs, or notes why there is none.
func (b *Bench) openRunner(ctx context.Context, o Options) (how string, err error) {
	for _, t := range o.Tasks {
		if t.Kind != Code {
			continue
		}
		s, err := sandbox.Open(ctx, sandbox.Options{Limits: sandbox.Usual(), Unconfined: o.Unconfined, Args: o.SandboxArgs})
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, sandbox.ErrConfine) && !o.Unconfined:
			b.NoRunner = status.OneLine(err) + "; --unconfined runs it with limits alone"
			return "", nil
		case err != nil:
			b.NoRunner = status.OneLine(err)
			return "", nil
		}
		if b.Runner = s; o.Unconfined {
			return Unconfined, nil
		}
		return Confined, nil
	}
	return "", nil
}

// ask makes prompts of the tasks, and says how many positions the longest of them and its
// answer have.
func (b *Bench) ask(o Options) (asked []Asked, positions int, err error) {
	for _, t := range o.Tasks {
		s, _ := spec(t.Kind)
		most := s.maxTokens
		if o.MaxTokens > 0 {
			most = o.MaxTokens
		}
		chats := make([][]infer.Message, len(t.Items))
		for i, item := range t.Items {
			chats[i] = item.Messages
		}
		prompts, err := remote.PromptTokens(o.Bundle, chats)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", t.Name, err)
		}
		for _, p := range prompts {
			positions = max(positions, len(p)+most)
		}
		asked = append(asked, Asked{t, prompts})
	}
	return asked, positions, nil
}

// board answers with the stages in this process, and keeps a connection to the cloud from
// one answer of a mode to the next.
type board struct {
	model decode.Model
	cloud strategies.Cloud
	mode  string
	conn  strategies.Conn // nil where that mode has none
}

func (b *board) answer(ctx context.Context, v strategies.Variant, prompt []int32, maxTokens int) (decode.Result, error) {
	if b.mode != v.Name {
		b.hangUp()
		b.mode = v.Name
	}
	if !decode.NeedsCloud(v.Mode) {
		return v.Generate(ctx, b.model, nil, prompt, decode.Options{MaxTokens: maxTokens})
	}
	if b.conn == nil {
		// Over a link without delay: what is said does not depend on it.
		conn, err := b.cloud.Dial(ctx, linksim.Spec{})
		if err != nil {
			return decode.Result{}, err
		}
		b.conn = conn
	}
	s, err := b.conn.Open(ctx, v)
	if err != nil {
		return decode.Result{}, err
	}
	defer s.Close()
	return v.Generate(ctx, b.model, untimed{s}, prompt, decode.Options{MaxTokens: maxTokens})
}

func (b *board) hangUp() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// untimed is a session as the token loop asks it.
type untimed struct{ strategies.Session }

func (u untimed) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	row, _, err := u.Session.Ask(ctx, pos, topK)
	return row, err
}
