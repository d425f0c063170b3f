package strategies

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
)

// Report is what was measured or simulated.
type Report struct {
	Rows []Row `json:"rows"`
	// T is a pass of the cloud in seconds and M the marginal cost of a further
	// position there, in passes: measured on one thread, or given. Check is M where the
	// logits of every position are wanted, 0 in a simulation.
	T         float64 `json:"T_s"`
	M         float64 `json:"m"`
	Check     float64 `json:"m_check,omitempty"`
	Pass      *Pass   `json:"pass,omitempty"` // the same for all sizes that were measured
	Simulated bool    `json:"simulated"`
	Run       Run     `json:"run"`
	Judged    Judged  `json:"judged"`
	// Setting and Recorded are of a simulation: what it was told, and the tokens
	// that it replayed, by variant.
	Setting  *sim.Setting            `json:"setting,omitempty"`
	Recorded map[string][]sim.Answer `json:"recorded,omitempty"`
}

// Run is on what and how it was measured.
type Run struct {
	Model     string    `json:"model"`
	Blocks    int       `json:"blocks"`
	Exits     []int     `json:"exits"`
	Width     int       `json:"n_embd"`
	Prompts   int       `json:"prompts"`
	MaxTokens int       `json:"max_tokens"`
	Rounds    int       `json:"rounds"`
	Slow      []float64 `json:"edge_slowdowns"` // emulated by sleeping
	Cores     string    `json:"cores"`
	Kernels   string    `json:"kernels"`
	Seconds   float64   `json:"seconds"`
}

// Run measures, or simulates a setting where there is one.
func (b *Bench) Run(ctx context.Context, s *sim.Setting) (*Report, error) {
	if s != nil {
		return b.Simulate(ctx, *s)
	}
	return b.Measure(ctx)
}

// Measure measures every variant on every link.
func (b *Bench) Measure(ctx context.Context) (*Report, error) {
	start := time.Now()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	if err := b.warm(ctx); err != nil {
		return nil, err
	}
	f, err := b.learn(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{Rows: []Row{}}
	rng := rand.New(rand.NewPCG(b.Seed, 0))
	for _, slow := range b.slowdowns() {
		b.clock.slow, f.slow = slow, slow
		for _, l := range b.Links {
			on := func() ([]Row, error) { return b.measureOn(ctx, f, l, rng) }
			if len(b.Serve) > 0 {
				on = func() ([]Row, error) { return b.serveOn(ctx, f, l) }
			}
			rows, err := on()
			if err != nil {
				return nil, err
			}
			r.Rows = append(r.Rows, rows...)
		}
	}
	pass := medianPass(b.passes)
	r.T, r.M, r.Check, r.Pass = pass.T, m(pass.Last), m(pass.All), &pass
	for i := range r.Rows {
		r.Rows[i].RTTOverT = r.Rows[i].spec.RTT.Seconds() / r.T
	}
	b.describe(r, start)
	r.Judged = judge(r.Rows)
	return r, nil
}

// slowdowns are those of the edge, in the order in which they are measured.
func (b *Bench) slowdowns() []float64 {
	if len(b.Slow) == 0 {
		return []float64{1}
	}
	return b.Slow
}

// measureOn measures every variant on a link.
func (b *Bench) measureOn(ctx context.Context, f facts, l Link, rng *rand.Rand) (rows []Row, err error) {
	f.cloud = medianPass(b.passes)
	t := f.cloud.T
	as := slices.Clone(b.Variants) // what each is decoded as: auto has no turns of its own
	var variants []Variant
	for i, v := range b.Variants {
		if !v.Auto {
			variants = append(variants, v)
		} else if as[i], err = b.chosen(f, l); err != nil {
			return nil, err
		}
	}
	first := len(b.passes)
	all, err := b.rounds(ctx, variants, l, t, rng)
	if err == nil {
		err = b.pass(ctx)
	}
	if err != nil {
		return nil, err
	}
	f.cloud = medianPass(b.passes[first:]) // before each round and after the last: the machine's speed drifts
	for i, v := range b.Variants {
		row := b.row(as[i], l.At(t), t)
		row.names(v, as[i])
		row.Slow = f.slow
		row.predict(f, as[i], b.thresholds(as[i]))
		row.measured(all[as[i].Name], all[b.Variants[0].Name])
		b.report(fmt.Sprintf("%s: %s: agreement", l.At(t), v.Name), 0, 0)
		if row.Agreement, err = b.agreement(ctx, all[as[i].Name][0].answers); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	overBest(rows, b.Variants)
	return rows, nil
}

// Simulate plays what every variant says in the setting. Nothing is timed: what the models
// say is taken from the recording, and computed where it lacks something.
func (b *Bench) Simulate(ctx context.Context, s sim.Setting) (*Report, error) {
	start := time.Now()
	r := &Report{T: s.T, M: s.M, Simulated: true, Setting: &s, Rows: []Row{}, Recorded: map[string][]sim.Answer{}}
	for _, v := range b.Variants {
		if v.Auto { // which says what another does
			continue
		}
		var err error
		if r.Recorded[v.Name], err = b.walks(ctx, v); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	b.Rounds = 1
	if len(b.Slow) == 0 {
		b.Slow = []float64{s.Slow}
	}
	for _, s.Slow = range b.Slow {
		for _, l := range b.Links {
			rows, err := b.replay(s, l, r.Recorded)
			if err != nil {
				return nil, err
			}
			b.clients(s, l, r.Recorded, rows)
			r.Rows = append(r.Rows, rows...)
		}
	}
	b.describe(r, start)
	r.Judged = judge(r.Rows)
	return r, nil
}

// thresholds are the own ones of those that speak in a variant: the draft model's, or the
// exits'.
func (b *Bench) thresholds(v Variant) []float64 {
	if d := b.Edge.Draft; d != nil && v.drafts() {
		return []float64{cmp.Or(d.Threshold, decode.DraftThreshold)}
	}
	var out []float64
	for _, e := range b.Edge.Exits {
		out = append(out, cmp.Or(e.Threshold, defaultThreshold))
	}
	return out
}

func (b *Bench) describe(r *Report, start time.Time) {
	r.Run.Prompts, r.Run.MaxTokens, r.Run.Rounds = len(b.Prompts), b.MaxTokens, b.Rounds
	r.Run.Slow, r.Run.Seconds, r.Run.Width = b.slowdowns(), time.Since(start).Seconds(), b.Width
}

// place is where rows were measured: each has a table.
type place struct {
	link string
	slow float64
}

// places are those of the report, in order.
func (r *Report) places() []place {
	var out []place
	for _, row := range r.Rows {
		if p := (place{row.Link, row.Slow}); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
