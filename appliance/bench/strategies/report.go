package strategies

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/cloudlink/linksim"
)

// Report is what was measured or simulated.
type Report struct {
	Rows []Row `json:"rows"`
	// T is a pass of the cloud in seconds and M the marginal cost of a further
	// position there, in passes: measured on one thread, or given.
	T         float64 `json:"T_s"`
	M         float64 `json:"m"`
	Simulated bool    `json:"simulated"`
	Run       Run     `json:"run"`
	// Setting and Recorded are of a simulation: what it was told, and the tokens
	// that it replayed, by variant.
	Setting  *sim.Setting            `json:"setting,omitempty"`
	Recorded map[string][]sim.Answer `json:"recorded,omitempty"`
}

// Run is on what and how it was measured.
type Run struct {
	Model     string  `json:"model"`
	Blocks    int     `json:"blocks"`
	Exits     []int   `json:"exits"`
	Width     int     `json:"n_embd"`
	Prompts   int     `json:"prompts"`
	MaxTokens int     `json:"max_tokens"`
	Rounds    int     `json:"rounds"`
	Slow      float64 `json:"edge_slowdown"` // emulated by sleeping
	Cores     string  `json:"cores"`
	Kernels   string  `json:"kernels"`
	Seconds   float64 `json:"seconds"`
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
	if err := b.warm(ctx); err != nil {
		return nil, err
	}
	r := &Report{Rows: []Row{}}
	rng := rand.New(rand.NewPCG(b.Seed, 0))
	var specs []linksim.Spec // of each row
	for _, l := range b.Links {
		t := bench.Median(b.t)
		all, err := b.rounds(ctx, l, t, rng)
		if err != nil {
			return nil, err
		}
		for _, v := range b.Variants {
			row := b.row(v, l.At(t), t)
			row.measured(all[v.Name], all[b.Variants[0].Name])
			b.report(fmt.Sprintf("%s: %s: agreement", l.At(t), v.Name), 0, 0)
			if row.Agreement, err = b.agreement(ctx, all[v.Name][0].answers); err != nil {
				return nil, err
			}
			r.Rows, specs = append(r.Rows, row), append(specs, l.At(t))
		}
	}
	r.T, r.M = bench.Median(b.t), bench.Median(b.m)
	for i := range r.Rows {
		r.Rows[i].RTTOverT = specs[i].RTT.Seconds() / r.T
	}
	b.describe(r, start)
	return r, nil
}

// Simulate lets every variant answer once without a link in between and replays
// what it said in the setting.
func (b *Bench) Simulate(ctx context.Context, s sim.Setting) (*Report, error) {
	start := time.Now()
	if err := b.warm(ctx); err != nil {
		return nil, err
	}
	b.Rounds = 1
	all, err := b.rounds(ctx, Link{}, 1, rand.New(rand.NewPCG(b.Seed, 0)))
	if err != nil {
		return nil, err
	}
	r := &Report{T: s.T, M: s.M, Simulated: true, Setting: &s, Rows: []Row{}, Recorded: map[string][]sim.Answer{}}
	for _, v := range b.Variants {
		b.report(v.Name+": record", 0, 0)
		for _, a := range all[v.Name][0].answers {
			recorded, err := b.record(ctx, a)
			if err != nil {
				return nil, err
			}
			r.Recorded[v.Name] = append(r.Recorded[v.Name], recorded)
		}
	}
	for _, l := range b.Links {
		r.Rows = append(r.Rows, b.replay(s, l, r.Recorded)...)
	}
	b.describe(r, start)
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
	r.Run.Slow, r.Run.Seconds = b.Slow, time.Since(start).Seconds()
	if len(b.Edge.Exits) > 0 {
		r.Run.Width = b.Edge.Exits[0].Stage.Width()
	}
}

// links are those of the report, in order.
func (r *Report) links() []string {
	var out []string
	for _, row := range r.Rows {
		if !slices.Contains(out, row.Link) {
			out = append(out, row.Link)
		}
	}
	return out
}
