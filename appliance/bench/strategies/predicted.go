package strategies

import (
	"context"
	"errors"
	"slices"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/predict"
	"skerry/cloudlink/linksim"
)

// This file is about what package predict says of the variants, beside what is measured or
// simulated, and about the variant auto, which is the one of the others that it finds fastest.

// facts are what a prediction rests on beside the link.
type facts struct {
	cloud   Pass
	edge    predict.Batch // of the edge's first stage; empty: as the cloud's
	slow    float64       // a pass of the edge over one of the cloud
	draft   float64       // a drafted token on the edge over a pass of the edge
	width   int           // n_embd
	split   float64       // the first stage as a share of the model
	prompt  int           // positions of a prompt, in the mean
	prompts int
	answer  int // tokens after each
	said    []sim.Answer
	model   bool // a draft model drafts, else the exits
}

// predictedMode is what package predict calls a variant, "" for one that it does not know.
func (v Variant) predictedMode() string {
	switch {
	case v.CloudDrafts:
		return predict.CloudLed
	case v.Mode == decode.CloudOnly, v.Mode == decode.Verified, v.Mode == decode.Collaborative && !v.Eager, v.Mode == decode.Standalone:
		return string(v.Mode)
	}
	return ""
}

// exact reports whether the text of a variant is the whole model's.
func (v Variant) exact() bool {
	e := v.Encoding.OnWire()
	return v.streams() || v.Mode == decode.Verified && (v.Encoding == IDs || e != nil && e.Exact)
}

// predicted is what an answer would take in a variant, false where that is not known.
func (f facts) predicted(v Variant, spec linksim.Spec, own []float64) (predict.Prediction, bool) {
	mode := v.predictedMode()
	if mode == "" || f.answer < 1 {
		return predict.Prediction{}, false
	}
	edge := f.edge
	if len(edge) == 0 {
		edge = f.cloud.Last
	}
	c := predict.Case{
		Board: predict.Machine{Pass: f.cloud.T * f.slow, Batch: edge},
		Cloud: predict.Machine{Pass: f.cloud.T, Batch: f.cloud.Last, Check: f.cloud.All},
		Link:  predict.Link{RTT: spec.RTT.Seconds(), Rate: spec.Rate / 8, Loss: spec.Loss},
		May:   predict.Hidden, Split: f.split, RowBytes: v.Encoding.Bytes() * float64(f.width), Prompt: f.prompt, Answer: f.answer,
	}
	if v.streams() || v.tokenIDs() {
		c.May = predict.Text
	}
	c.Draft = f.drafter(v)
	if ts := v.thresholds(own); len(ts) > 0 {
		c.Threshold = ts[len(ts)-1]
		c.Draft.Believed = []predict.Believed{f.believed(c.Threshold)}
	}
	if v.Mode == decode.Verified || v.CloudDrafts {
		c.Lookup = f.lookup()
	}
	all, err := predict.All(c)
	if err != nil {
		return predict.Prediction{}, false
	}
	for _, p := range all {
		if p.Mode == mode {
			return p, p.Not == ""
		}
	}
	return predict.Prediction{}, false
}

// total is that of all answers in seconds.
func (f facts) total(p predict.Prediction) float64 { return float64(f.prompts) * p.Total(f.answer) }

// drafter is the draft of a variant: the draft model, or the exits, which the cloud has not.
func (f facts) drafter(v Variant) *predict.Draft {
	d := &predict.Draft{Cost: f.draft, Acceptance: f.share(func(t sim.Token) bool { return t.EqualDraft }), Stages: !f.model}
	if !f.model {
		d.Acceptance = f.share(func(t sim.Token) bool { return t.Equal2 })
	}
	if v.CloudDrafts && !f.model {
		d.Acceptance = 0
	}
	return d
}

// believed is what was recorded of tokens from a confidence on.
func (f facts) believed(threshold float64) predict.Believed {
	all, sure, right := 0, 0, 0
	for _, a := range f.said {
		for _, t := range a.Tokens {
			confidence, equal := t.C2, t.Equal2
			if f.model {
				confidence, equal = t.CDraft, t.EqualDraft
			}
			if all++; confidence >= threshold {
				if sure++; equal {
					right++
				}
			}
		}
	}
	b := predict.Believed{Confidence: threshold, Right: 1}
	if sure > 0 {
		b.Share, b.Right = float64(sure)/float64(all), float64(right)/float64(sure)
	}
	return b
}

// share of the recorded tokens of which something holds.
func (f facts) share(of func(sim.Token) bool) float64 {
	n, hold := 0, 0
	for _, a := range f.said {
		for _, t := range a.Tokens {
			if n++; of(t) {
				hold++
			}
		}
	}
	return float64(hold) / float64(max(1, n))
}

// lookup is the share of positions with a match that is worth a check, and how often a token
// of one is right where those before it are.
func (f facts) lookup() predict.Lookup {
	best, gain := predict.Lookup{}, 0.
	for least := 1; least <= sim.Matches; least++ {
		n, matches, right, wrong := 0, 0, 0, 0
		for _, a := range f.said {
			for i, t := range a.Tokens {
				if n++; i == 0 || t.Match < least {
					continue
				}
				matches++
				k := min(t.MatchRight, len(a.Tokens)-i)
				if right += k; k < mostLookedUp {
					wrong++
				}
			}
		}
		if right == 0 {
			continue
		}
		l := predict.Lookup{Share: float64(matches) / float64(n), Acceptance: float64(right) / float64(right+wrong)}
		if worth := l.Share * (l.Acceptance - lookupPays); worth > gain {
			best, gain = l, worth
		}
	}
	return best
}

// lookupPays is the acceptance from which a looked-up token is counted as worth a check.
const lookupPays = 0.5

// mostLookedUp are the tokens of a match that are drafted at most.
const mostLookedUp = 7

// errNothingExact is of auto among variants of which none says the whole model's text.
var errNothingExact = errors.New("auto chooses among cloud-only, cloud-only+draft, verified and verified-ids: measure one of them beside it")

// chosen is the variant that auto is on a link: of those whose text is the whole model's the
// one that is predicted to take the least time.
func (b *Bench) chosen(f facts, l Link) (Variant, error) {
	var all []predict.Prediction
	var of []Variant
	for _, v := range b.Variants {
		if !v.exact() || v.Auto {
			continue
		}
		if p, ok := f.predicted(v, l.At(f.cloud.T), b.thresholds(v)); ok {
			p.Mode = v.Name
			all, of = append(all, p), append(of, v)
		}
	}
	c := new(predict.Chooser).Choose(time.Time{}, all, f.answer, predict.Limits{})
	i := slices.IndexFunc(of, func(v Variant) bool { return v.Name == c.Best })
	if i < 0 {
		return Variant{}, errNothingExact
	}
	return of[i], nil
}

// learn records what the whole model says, and measures the edge.
func (b *Bench) learn(ctx context.Context) (facts, error) {
	f := b.facts()
	all, err := b.walks(ctx, b.Variants[0])
	if err != nil {
		return f, err
	}
	f.of(all)
	f.cloud = medianPass(b.passes)
	stage, edge, token, err := b.edgePass()
	f.edge, f.draft = edge, token/f.cloud.T // of an edge as fast as the cloud
	if stage > 0 {
		f.split = stage / f.cloud.T // less than its share of the blocks: the head is the cloud's
	}
	return f, err
}

// facts are those of the model.
func (b *Bench) facts() facts {
	return facts{slow: 1, model: b.Edge.Draft != nil, split: b.Split, width: b.Width}
}

// of takes in what was recorded of the answers.
func (f *facts) of(said []sim.Answer) {
	f.said, f.prompts, f.prompt, f.answer = said, len(said), 0, 0
	for _, a := range said {
		f.prompt, f.answer = f.prompt+a.Prompt, f.answer+len(a.Tokens)
	}
	n := max(1, len(said))
	f.prompt, f.answer = f.prompt/n, f.answer/n
}

// Of the measurement of a drafted token: positions before it, and how often it is timed.
const (
	draftAfter = 32
	draftTimes = 7
)

// draftTime is the median time of a token of the draft model, or of the exits, on an edge that
// is not slowed down, in seconds.
func (b *Bench) draftTime() (float64, error) {
	var took []float64
	for i := range draftTimes + 1 {
		rows, pos := 1, draftAfter+i-1
		if i == 0 {
			rows, pos = draftAfter, 0
		}
		start := time.Now()
		if err := b.draftOnce(pos, rows); err != nil {
			return 0, err
		}
		if i > 0 {
			took = append(took, time.Since(start).Seconds())
		}
	}
	return bench.Median(took), nil
}

// draftOnce computes rows of a text that does not matter, from pos on.
func (b *Bench) draftOnce(pos, rows int) error {
	want := engine.WantHidden
	stages := make([]decode.Stage, 0, len(b.Edge.Exits))
	for _, e := range b.Edge.Exits {
		stages = append(stages, e.Stage)
	}
	if d := b.Edge.Draft; d != nil {
		stages, want = []decode.Stage{d.Stage}, engine.WantLogits
	}
	var hidden []float32
	for i, s := range stages {
		if pos == 0 {
			if err := s.Truncate(0, 0); err != nil {
				return err
			}
		}
		batch := engine.NewBatch(0, pos, rows, 0)
		if want == engine.WantHidden {
			batch = engine.NewBatch(0, pos, rows, want)
		} else {
			batch.Want[rows-1] = want
		}
		if batch.Hidden = hidden; i == 0 {
			batch.Tokens = make([]int32, rows)
		}
		out, err := s.Forward(batch)
		if err != nil {
			return err
		}
		if hidden = out.Hidden; want == engine.WantHidden && rows == 1 && b.Edge.Exits[i].Head != nil {
			if _, err := b.Edge.Exits[i].Head.Logits(hidden); err != nil {
				return err
			}
		}
	}
	return nil
}
