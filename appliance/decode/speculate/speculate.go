// Package speculate decides how many tokens are drafted before the full model checks them
// (speculative decoding: Leviathan, Kalman and Matias, arXiv 2211.17192). It knows nothing of
// models and clocks: it is told what passes took and which tokens were accepted, and weighs
// what a check of so many rows yields against decoding one token at a time.
//
// A check of n drafted tokens is a pass of n+1 rows. It yields the accepted tokens and one
// more, so that its rate is
//
//	(1 + p1 + p1·p2 + ... + p1·...·pn) / (drafting + Cost(n+1))
//
// tokens a second, where pi is the probability that the i-th token is accepted given that
// those before it are. Decoding one by one has a rate of 1/Cost(1).
package speculate

// MostDraft is how many tokens are drafted at most before a check.
const MostDraft = 7

const (
	// leastGain is by how much a check has to be predicted to be the faster before anything
	// is drafted.
	leastGain = 0.02
	// trialShare is how much of the time may go into drafting what is not predicted to pay,
	// by each drafter, to find out whether it still does not.
	trialShare = 0.01
)

// Verifier is the full model that checks drafts, as one conversation meets it, and what was
// learnt of the drafts that it checked. The zero value has learnt nothing. It belongs to the
// goroutine that decodes.
type Verifier struct {
	// Always drafts whatever it yields.
	Always bool
	checks Costs
	kinds  map[string]*kind
}

// kind is what is known of one drafter.
type kind struct {
	accepted Acceptance
	since    int // tokens decided since it last drafted
}

func (v *Verifier) kind(name string) *kind {
	k := v.kinds[name]
	if k == nil {
		if v.kinds == nil {
			v.kinds = map[string]*kind{}
		}
		k = &kind{}
		v.kinds[name] = k
	}
	return k
}

// Took takes in that a pass of rows rows took so many seconds, the logits of all of them
// included.
func (v *Verifier) Took(rows int, seconds float64) { v.checks.Observe(rows, seconds) }

// Cost is the expected time of a pass of rows rows in seconds, 0 while nothing is known.
func (v *Verifier) Cost(rows int) float64 { return v.checks.Of(rows) }

// Decided takes in that n tokens were decided, drafted or not.
func (v *Verifier) Decided(n int) {
	for _, k := range v.kinds {
		k.since += n
	}
}

// Checked takes in what became of a token that a drafter proposed at a level of certainty.
func (v *Verifier) Checked(drafter string, level int, accepted bool) {
	v.kind(drafter).accepted.Observe(level, accepted)
}

// Acceptance is the expected share of a drafter's tokens at a level that are accepted.
func (v *Verifier) Acceptance(drafter string, level int) float64 {
	return v.kind(drafter).accepted.Of(level)
}

// rate of a check of the drafts that are accepted with probabilities p, in tokens a second.
func (v *Verifier) rate(p []float64, drafting float64) float64 {
	tokens, reached := 1., 1.
	for _, x := range p {
		reached *= x
		tokens += reached
	}
	return tokens / (drafting + v.checks.Of(len(p)+1))
}

// probabilities of acceptance at the levels.
func (v *Verifier) probabilities(drafter string, levels []int) []float64 {
	k := v.kind(drafter)
	p := make([]float64, len(levels))
	for i, level := range levels {
		p[i] = k.accepted.Of(level)
	}
	return p
}

// Free returns how many of the tokens that a drafter proposes at no cost are worth a check,
// from the first on, by their levels; and the rate that is expected of it, in tokens a
// second.
func (v *Verifier) Free(drafter string, levels []int) (n int, rate float64) {
	levels = levels[:min(len(levels), MostDraft)]
	one := v.checks.Of(1)
	if one == 0 || len(levels) == 0 {
		return 0, 0
	}
	p := v.probabilities(drafter, levels)
	rate = (1 + leastGain) / one
	if v.Always {
		rate = 0
	}
	for i := range p {
		if r := v.rate(p[:i+1], 0); r > rate {
			n, rate = i+1, r
		}
	}
	if n == 0 && v.try(drafter, p, 0) {
		n, rate = len(p), v.rate(p, 0)
	}
	return n, rate
}

// try reports whether enough time has gone by for a check that is not predicted to pay.
func (v *Verifier) try(drafter string, p []float64, drafting float64) bool {
	one := v.checks.Of(1)
	loss := drafting + v.checks.Of(len(p)+1) - one
	return loss <= trialShare*float64(v.kind(drafter).since)*one
}

// Draft is what a costly drafter is asked for.
type Draft struct {
	Drafter string
	Token   float64 // seconds for a token of its
	Backlog float64 // seconds until it can draft at all, once
	Left    int     // tokens of the answer that may still come
	Rate    float64 // tokens a second that something else promises, 0: nothing does
}

// Worth reports whether a costly drafter is worth asking at all.
func (v *Verifier) Worth(d Draft) bool {
	one := v.checks.Of(1)
	if one == 0 {
		return false
	}
	if v.Always {
		return true
	}
	mean := v.kind(d.Drafter).accepted.Mean()
	best, p := 0., []float64{}
	for i := 1; i <= MostDraft; i++ {
		p = append(p, mean)
		best = max(best, v.rate(p, float64(i)*d.Token))
	}
	saved := (one - 1/best) * float64(d.Left)
	if best > max(d.Rate, (1+leastGain)/one) && saved > d.Backlog {
		return true
	}
	return d.Rate == 0 && v.try(d.Drafter, p[:trialDraft], trialDraft*d.Token+d.Backlog)
}

// trialDraft is how many tokens a costly drafter drafts where it is not predicted to pay.
const trialDraft = 3

// More reports whether a further token is worth drafting behind those with the given levels,
// which the drafter was found worth for: that is so while a longer draft promises a higher
// rate than a check of what there is.
func (v *Verifier) More(d Draft, levels []int) bool {
	n := len(levels)
	if n >= MostDraft {
		return false
	}
	if n == 0 {
		return true
	}
	p := v.probabilities(d.Drafter, levels)
	spent, mean := float64(n)*d.Token, v.kind(d.Drafter).accepted.Mean()
	now := v.rate(p, spent)
	for len(p) < MostDraft {
		p = append(p, mean)
		spent += d.Token
		if v.rate(p, spent) > now {
			return true
		}
	}
	return false
}

// Used takes in that a drafter has drafted.
func (v *Verifier) Used(drafter string) { v.kind(drafter).since = 0 }
