package strategies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// Options of a run. Zero values are not usable.
type Options struct {
	Variants  []Variant
	Links     []Link
	Prompts   [][]int32
	MaxTokens int // said after each prompt
	Rounds    int
	Slow      []float64 // the edge's time over this machine's, each from 1
	Split     float64   // the first stage as a share of the model
	Split2    float64   // both stages, 0 where there is one
	Head      float64   // an exit's head, in passes
	Width     int       // n_embd
	// Serve is to be measured how many clients the cloud serves: as fast as so many of the whole
	// model, each time for ServeFor.
	Serve    []int
	ServeFor time.Duration
	Seed     uint64 // of the order of turns
	// Progress may be nil.
	Progress func(step string, done, total int64)
}

// turn is what a variant took for all prompts in one round. Times are in seconds.
type turn struct {
	total, edge, comm float64
	cloud             Spent
	asks, tokens      int
	bytes             uint64
	first             []float64
	answers           []said
	learnt            *decode.Learnt // by one answer for the next
}

// Bench is what is measured.
type Bench struct {
	// Edge is computed in this process: its exits, and its draft model. Before Open of these
	// only the thresholds are known.
	Edge  decode.Model
	Cloud Cloud
	// Open loads the models and starts the cloud, once something is to be computed; nil where
	// both are there.
	Open func(context.Context, *Bench) error
	// Record is what is known of what the models say.
	Record *Recording
	Options
	clock           *clock
	drafted, exited follower // of the edge's stages
	passes          []Pass   // of the cloud, whenever measured
}

// turns are the turns of each variant on a link, by round.
type turns map[string][]*turn

// rounds gives every variant one turn a round. What a pass of the cloud takes is
// measured anew in each: a busy machine's speed drifts.
func (b *Bench) rounds(ctx context.Context, variants []Variant, l Link, t float64, rng *rand.Rand) (turns, error) {
	all := turns{}
	for n := range b.Rounds {
		if err := b.pass(ctx); err != nil {
			return nil, err
		}
		for k, i := range rng.Perm(len(variants)) {
			v := variants[i]
			b.report(fmt.Sprintf("%s: %s", l.At(t), v.Name), n*len(variants)+k, b.Rounds*len(variants))
			x, err := b.turn(ctx, v, l, t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
			all[v.Name] = append(all[v.Name], x)
		}
	}
	return all, nil
}

func (b *Bench) report(step string, done, total int) {
	if b.Progress != nil {
		b.Progress(step, int64(done), int64(total))
	}
}

// turn answers all prompts one after the other over one connection. Dialling and
// opening a session are not timed.
func (b *Bench) turn(ctx context.Context, v Variant, l Link, t float64) (*turn, error) {
	var conn Conn
	if decode.NeedsCloud(v.Mode) {
		var err error
		if conn, err = b.Cloud.Dial(ctx, l.At(t)); err != nil {
			return nil, err
		}
		defer conn.Close()
	}
	before, err := b.Cloud.Spent(ctx)
	if err != nil {
		return nil, err
	}
	x := &turn{learnt: new(decode.Learnt)}
	for _, prompt := range b.Prompts {
		if err := b.answer(ctx, v, conn, prompt, x); err != nil {
			return nil, err
		}
	}
	after, err := b.Cloud.Spent(ctx)
	x.cloud = Spent{after.Seconds - before.Seconds, after.Positions - before.Positions}
	if v.streams() { // its waits are not asks
		x.comm = max(0, x.total-x.cloud.Seconds)
	}
	return x, err
}

func (b *Bench) answer(ctx context.Context, v Variant, conn Conn, prompt []int32, x *turn) error {
	var cloud decode.Cloud
	far, sent := &metered{clock: b.clock}, func() uint64 { return 0 }
	if conn != nil {
		s, err := conn.Open(ctx, v)
		if err != nil {
			return err
		}
		defer s.Close()
		far.Session, cloud, sent = s, far, conn.Sent
	}
	m, err := v.On(b.Edge)
	if err != nil {
		return err
	}
	m.Learnt = x.learnt
	before, busy := sent(), b.clock.read()
	a, err := v.Generate(ctx, timed(m, b.clock), cloud, prompt, decode.Options{MaxTokens: b.MaxTokens, IgnoreEnd: true})
	if err != nil {
		return err
	}
	x.total += a.Total.Seconds()
	x.edge += (b.clock.read() - busy).Seconds()
	x.comm += far.comm.Seconds()
	x.asks += a.Asks
	x.tokens += len(a.Tokens)
	x.bytes += sent() - before
	x.first = append(x.first, a.FirstToken.Seconds())
	answer := said{prompt: prompt}
	for _, t := range a.Tokens {
		answer.tokens = append(answer.tokens, t.ID)
	}
	x.answers = append(x.answers, answer)
	return nil
}

// Generate answers a prompt greedily as the variant does, in a session that nothing was said
// in before. The cloud is nil for a mode that asks none, and an answer that loses it is an
// error. Of the options those are taken that are no variant's.
func (v Variant) Generate(ctx context.Context, m decode.Model, cloud decode.Cloud, prompt []int32, o decode.Options) (decode.Result, error) {
	var stages []decode.Stage
	for _, e := range m.Exits {
		stages = append(stages, e.Stage)
	}
	if m.Draft != nil {
		stages = append(stages, m.Draft.Stage)
	}
	if m.Whole != nil {
		stages = append(stages, m.Whole)
	}
	for _, s := range stages {
		if err := s.Truncate(0, 0); err != nil {
			return decode.Result{}, err
		}
	}
	o.Mode, o.Eager, o.Thresholds = v.Mode, v.Eager, v.Thresholds
	o.Draft = v.Draft
	o.OnLoss, o.Sampling = infer.EndAnswer, infer.Sampling{Seed: 1}
	a, err := decode.NewSession(m, 0, cloud).Generate(ctx, prompt, o, nil)
	switch {
	case err != nil:
	case a.Finish == infer.Cancelled:
		err = ctx.Err()
	case a.Draft != nil:
		err = a.Draft
	}
	return a, err
}

// warm starts the edge's clock and measures the cloud.
func (b *Bench) warm(ctx context.Context) error {
	b.clock = &clock{slow: 1}
	b.report("measure a pass", 0, 0)
	return b.pass(ctx)
}
