package decode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// modelKind is a draft model.
var modelKind = DraftKind{
	Name: "draft", Help: "a small model of the same vocabulary",
	Sources: []infer.Source{infer.FromDraft},
	of: func(s *Session) []drafter {
		if s.draft == nil {
			return nil
		}
		return []drafter{s.draft}
	},
}

// DraftModel is a whole smaller model that proposes tokens.
type DraftModel struct {
	Stage Stage // takes tokens, with its own head
	// Tokens is how many tokens, from 0 on, mean the same in both models; 0: all. What lies
	// beyond is never proposed.
	Tokens int
	// Ends are the draft's end tokens and those of the model that stand for them.
	Ends []EndToken
	// Context is how many positions it was trained with: a conversation that is longer goes
	// on without it. 0: as many as the conversation may hold.
	Context int
	// Threshold is the confidence from which it is believed by default, from what was
	// measured of it; 0 stands for DraftThreshold.
	Threshold float64
	// Temperature is what its logits are divided by for its confidence, so that this means
	// what it says; 0 stands for 1. What is sampled does not depend on it.
	Temperature float64
	// Acceptance is how often its likeliest token was the model's where that was measured; 0
	// where it was not.
	Acceptance float64
	// Cost is what a token of its takes as a share of a pass of the whole model on the same
	// machine, where that was measured; 0 where it was not.
	Cost float64
}

// EndToken is an end token of a draft model and that of the model which stands for it.
type EndToken struct{ Draft, Model int32 }

// DraftThreshold is that of a draft model of which nothing was measured. Qwen2.5-Coder 0.5B
// agrees from there on with 1.5B at 0.997 of its tokens of code and 0.993 of others.
const DraftThreshold = 0.9

// neverSaid is a logit that no other comes below.
const neverSaid = -1e30

// Logits turns a row of the draft's logits into one of the model's vocabulary.
func (m *DraftModel) Logits(row []float32) []float32 {
	n := len(row)
	if m.Tokens > 0 {
		n = min(n, m.Tokens)
	}
	size := n
	for _, e := range m.Ends {
		size = max(size, int(e.Model)+1)
	}
	out := make([]float32, size)
	copy(out, row[:n])
	for i := n; i < size; i++ {
		out[i] = neverSaid
	}
	for _, e := range m.Ends {
		if e.Draft != e.Model && int(e.Draft) < n {
			out[e.Draft] = neverSaid
		}
	}
	for _, e := range m.Ends {
		if int(e.Draft) < len(row) {
			out[e.Model] = max(row[e.Draft], out[e.Model])
		}
	}
	return out
}

// Describe describes a row of Logits, its confidence by the temperature.
func (m *DraftModel) Describe(row []float32) engine.Stats {
	stats := engine.Describe(row)
	if m.Temperature > 0 && m.Temperature != 1 {
		cooled := make([]float32, len(row))
		for i, v := range row {
			cooled[i] = v / float32(m.Temperature)
		}
		stats.Confidence = engine.Describe(cooled).Confidence
	}
	return stats
}

// IDs are the draft's tokens that stand for the model's.
func (m *DraftModel) IDs(tokens []int32) ([]int32, error) {
	out := make([]int32, len(tokens))
next:
	for i, id := range tokens {
		for _, e := range m.Ends {
			if e.Model == id {
				out[i] = e.Draft
				continue next
			}
		}
		if m.Tokens > 0 && int(id) >= m.Tokens {
			return nil, fmt.Errorf("it has no token for the model's %d", id)
		}
		out[i] = id
	}
	return out, nil
}

// errDraftModel is wrapped by the errors of a draft model: the session goes on without.
var errDraftModel = errors.New("the draft model is given up")

// errDraftBlind is of a conversation with an image: its rows are the large model's own.
var errDraftBlind = fmt.Errorf("%w: it reads no images", errDraftModel)

// modelDraft is a draft model at work on a session's text.
type modelDraft struct {
	*Session
	model *DraftModel
	held  []int32  // tokens it has computed
	said  proposal // after the last of them, where that was wanted
	cost  monitor.BatchCost
	// onRows is told after every batch how many positions there are; nil for nobody.
	onRows func(done int)
}

func (d *modelDraft) source() infer.Source { return infer.FromDraft }

// rule: of two thresholds the second is the draft model's, as of the deepest on the board.
func (d *modelDraft) rule() policy.Exit {
	return policy.Exit{Index: 1, Threshold: cmp.Or(d.model.Threshold, DraftThreshold)}
}

// propose computes what the draft lacks of the tokens, in chunks between which ctx may end
// it, and returns the logits after the last.
func (d *modelDraft) propose(ctx context.Context, tokens []int32) (proposal, error) {
	if err := d.tooLong(len(tokens)); err != nil {
		return proposal{}, err
	}
	n := commonPrefix(d.held, tokens)
	if n == len(tokens) && n == len(d.held) && d.said.pos == n {
		return d.said, nil
	}
	if err := d.truncate(min(n, len(tokens)-1)); err != nil { // the last is computed again: its logits are wanted
		return proposal{}, err
	}
	for len(d.held) < len(tokens) {
		if err := ctx.Err(); err != nil {
			return proposal{}, err
		}
		end := min(len(d.held)+4*prefillRows, len(tokens))
		if err := d.compute(tokens[len(d.held):end], end == len(tokens)); err != nil {
			return proposal{}, err
		}
	}
	return d.said, nil
}

// tooLong says that so many positions are more than the draft was trained with.
func (d *modelDraft) tooLong(positions int) error {
	if most := d.model.Context; most > 0 && positions > most {
		return fmt.Errorf("%w: the conversation is longer than the %d positions that it was trained with", errDraftModel, most)
	}
	return nil
}

// compute computes the tokens that follow what is held.
func (d *modelDraft) compute(tokens []int32, logits bool) error {
	if slices.ContainsFunc(tokens, engine.IsImageToken) {
		return errDraftBlind
	}
	ids, err := d.model.IDs(tokens)
	if err != nil {
		return fmt.Errorf("%w: %w", errDraftModel, err)
	}
	b := engine.NewBatch(d.seq, len(d.held), len(ids), 0)
	b.Tokens = ids
	if logits {
		b.Want[len(ids)-1] = engine.WantLogits
	}
	start := time.Now()
	out, err := d.model.Stage.Forward(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errDraftModel, err)
	}
	d.cost.Observe(len(ids), time.Since(start))
	d.held = append(d.held, tokens...)
	if logits {
		row := d.model.Logits(out.Logits)
		d.said = proposal{pos: len(d.held), logits: row, stats: d.model.Describe(row)}
	}
	d.publish()
	if d.onRows != nil {
		d.onRows(len(d.held))
	}
	return nil
}

// backlog leaves out the last token, which a proposal computes.
func (d *modelDraft) backlog() int {
	return max(0, len(d.tokens)-1-d.inStep())
}

func (d *modelDraft) catchUp(rows int) error {
	n := d.inStep()
	if err := d.truncate(n); err != nil {
		return err
	}
	if end := min(n+rows, len(d.tokens)-1); end > n {
		if err := d.tooLong(end); err != nil {
			return err
		}
		return d.compute(d.tokens[n:end], false)
	}
	return nil
}

func (d *modelDraft) backlogCost(rows int) (mean, deviation time.Duration, known bool) {
	return d.cost.Cost(rows)
}

func (d *modelDraft) proposalCost() (mean, deviation time.Duration, known bool) {
	return d.cost.Cost(1)
}

// truncate forgets positions from pos on.
func (d *modelDraft) truncate(pos int) error {
	if pos >= len(d.held) {
		return nil
	}
	d.held = d.held[:pos:pos] // never in place: forks read what was
	if err := d.model.Stage.Truncate(d.seq, pos); err != nil {
		return fmt.Errorf("%w: %w", errDraftModel, err)
	}
	return nil
}

// adopt takes over positions whose KV the stage has been given, as many of the tokens as
// it has, and returns how many.
func (d *modelDraft) adopt(tokens []int32) (int, error) {
	k, ok := d.model.Stage.(SequenceStore)
	if !ok {
		return 0, d.truncate(0)
	}
	n := min(k.Position(d.seq), len(tokens))
	d.held, d.said = tokens[:n:n], proposal{}
	return n, d.model.Stage.Truncate(d.seq, n)
}

// inStep is how many of the session's tokens it holds.
func (d *modelDraft) inStep() int {
	if d == nil {
		return 0
	}
	return commonPrefix(d.held, d.tokens)
}

// commonPrefix is how many tokens a and b begin with alike.
func commonPrefix(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
