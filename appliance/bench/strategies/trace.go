package strategies

import (
	"context"
	"slices"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
)

// said is what a variant answered to a prompt.
type said struct{ prompt, tokens []int32 }

// text is every token that another followed.
func (a said) text() []int32 { return slices.Concat(a.prompt, a.tokens[:max(0, len(a.tokens)-1)]) }

// agreement is the share of said tokens that are the unsplit model's greedy token
// after the same tokens (teacher-forced).
func (b *Bench) agreement(ctx context.Context, answers []said) (float64, error) {
	n, equal := 0, 0
	for _, a := range answers {
		if err := b.know(ctx, a.text(), len(a.prompt), ofWhole); err != nil {
			return 0, err
		}
		for _, t := range b.recorded(a).Tokens {
			if n++; t.EqualUp {
				equal++
			}
		}
	}
	return float64(equal) / float64(max(1, n)), nil
}

// recorded is an answer with how sure each exit and the draft were of every token said, and
// whether they were right, as far as that is recorded. EqualUp is that the token itself was.
func (b *Bench) recorded(a said) sim.Answer {
	r := sim.Answer{Prompt: len(a.prompt), Tokens: make([]sim.Token, len(a.tokens))}
	text := slices.Concat(a.prompt, a.tokens)
	for i := range r.Tokens {
		t, after := &r.Tokens[i], b.Record.after(text[:len(a.prompt)+i])
		right := func(id int32) bool { return after.Whole != nil && id == *after.Whole }
		t.EqualUp = right(a.tokens[i])
		for k, e := range after.Exits {
			if k == 0 {
				t.C1, t.Equal1 = e.Confidence, right(e.Token)
			}
			// With one exit the second is the first.
			t.C2, t.Equal2 = e.Confidence, right(e.Token)
		}
		if d := after.Draft; d != nil {
			t.CDraft, t.EqualDraft = d.Confidence, right(d.Token)
		}
	}
	a.matches(&r)
	return r
}

// matches fills in what prompt lookup would have drafted in place of each token said.
func (a said) matches(r *sim.Answer) {
	text := slices.Concat(a.prompt, a.tokens)
	for i := range r.Tokens {
		at := len(a.prompt) + i
		run, certain := decode.LookUp(text[:at], mostLookedUp)
		if len(run) == 0 {
			continue
		}
		t := &r.Tokens[i]
		t.Match = certain[0] + 1
		for t.MatchRight < len(run) && at+t.MatchRight < len(text) && run[t.MatchRight] == text[at+t.MatchRight] {
			t.MatchRight++
		}
	}
}
