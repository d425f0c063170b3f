// Package speculate decides how many tokens are drafted before the full model checks them
// (speculative decoding: Leviathan, Kalman and Matias, arXiv 2211.17192). It knows nothing of
// models and clocks: it is told what passes took and which tokens were accepted, and weighs
// what a check of so many rows yields against decoding one token at a time. Whoever drafts and
// whoever checks, on a board or in a cloud, asks it, and what is predicted of them is predicted
// by it.
//
// A check of n drafted tokens is a pass of n+1 rows. It yields the accepted tokens and one
// more, so that its rate is
//
//	(1 + p1 + p1·p2 + ... + p1·...·pn) / (drafting + Cost(n+1))
//
// tokens a second, where pi is the probability that the i-th token is accepted given that
// those before it are. Decoding one by one has a rate of 1/Cost(1).
//
// What is predicted may be wrong, and a drafter that was no use may become one. So each drafter
// has a credit of passes that its drafts may lose: it has a few to begin with, gains a hundredth
// with every token that is decided and what its drafts save, and is charged what they cost beyond
// the tokens they brought. Without credit it drafts nothing; with enough for the worst case it is
// tried where it is not predicted to pay.
package speculate

const (
	// earned is what a drafter may lose, in passes, for each token that is decided.
	earned = 0.01
	// begin is the credit of a drafter of which nothing is known, and most what it keeps at most
	// of what it has saved.
	begin, most = 4, 16
	// foreseen is for how many tokens more an answer is believed to go on, at most, where
	// something is spent on them.
	foreseen = 128
	// Before a drafter computes what it lacks of a text it has to promise so many times what
	// that takes.
	paysBack, paysBackUnsure = 1.25, 4
	// trialDraft is how many tokens a costly drafter drafts where it is not predicted to pay, and
	// trialAfter where it had to compute much of the text before.
	trialDraft, trialAfter = 2, 4
)

// Verifier is the full model that checks drafts, as one conversation meets it, and what was
// learnt of the drafts that it checked. The zero value has learnt nothing. It belongs to the
// goroutine that decodes.
type Verifier struct {
	// Always drafts whatever it yields.
	Always bool
	checks Costs
	kinds  map[string]*kind
	round  round
}

// kind is what is known of one drafter.
type kind struct {
	accepted Acceptance
	credit   float64 // passes that may be lost
	invested float64 // of what is owed, what is to be paid back by the answer
	wants    float64 // the credit that a trial needs
}

// round is a check that is being prepared or under way.
type round struct {
	drafter string // "" where nothing was drafted
	trial   int    // as many are drafted, though it is not predicted to pay
	seconds float64
	checked bool
}

func (v *Verifier) kind(name string) *kind {
	k := v.kinds[name]
	if k == nil {
		if v.kinds == nil {
			v.kinds = map[string]*kind{}
		}
		k = &kind{credit: begin}
		v.kinds[name] = k
	}
	return k
}

// Clone returns a verifier that has learnt the same, for another answer.
func (v *Verifier) Clone() *Verifier {
	c := &Verifier{Always: v.Always, checks: v.checks, kinds: map[string]*kind{}}
	for name, k := range v.kinds {
		also := *k
		also.invested = 0
		c.kinds[name] = &also
	}
	return c
}

// Expect tells how often a drafter's tokens were right when that was measured. What is observed
// counts for more and more.
func (v *Verifier) Expect(drafter string, right float64) {
	if k := v.kind(drafter); k.accepted.expected != right {
		k.accepted.expected, k.credit = right, max(k.credit, most/2)
	}
}

// Took takes in that a pass of rows rows took so many seconds, the logits of all of them
// included.
func (v *Verifier) Took(rows int, seconds float64) {
	v.checks.Observe(rows, seconds)
	v.round.seconds, v.round.checked = v.round.seconds+seconds, true
}

// Drafted takes in that drafting took so many seconds for which nothing else was done.
func (v *Verifier) Drafted(drafter string, seconds float64) {
	v.round.drafter = drafter
	v.round.seconds += seconds
}

// Cost is the expected time of a pass of rows rows in seconds, 0 while nothing is known.
func (v *Verifier) Cost(rows int) float64 { return v.checks.Of(rows) }

// Decided takes in that n tokens were decided, drafted or not, and settles what the check cost.
func (v *Verifier) Decided(n int) {
	one := v.checks.Of(1)
	for name, k := range v.kinds {
		k.credit = min(k.credit+earned*float64(n), max(k.credit, begin, k.wants))
		if name != v.round.drafter || !v.round.checked || one == 0 {
			continue
		}
		saved := float64(n) - v.round.seconds/one
		k.credit = min(k.credit+saved, max(k.credit, most))
		k.invested = min(k.invested, max(begin-k.credit, 0))
	}
	v.round = round{}
}

// Checked takes in what became of a token that a drafter proposed at a level of certainty.
func (v *Verifier) Checked(drafter string, level int, accepted bool) {
	v.kind(drafter).accepted.Observe(level, accepted)
}

// Acceptance is the expected share of a drafter's tokens at a level that are accepted.
func (v *Verifier) Acceptance(drafter string, level int) float64 {
	return v.kind(drafter).accepted.Of(level)
}

// Seen is the share of a drafter's tokens that were accepted of late, and how many that rests on.
func (v *Verifier) Seen(drafter string) (share, of float64) {
	if k := v.kinds[drafter]; k != nil {
		share, of = k.accepted.Mean(), k.accepted.Seen()
	}
	return share, of
}

// rate of a check of the drafts that are accepted with probabilities p, in tokens a second.
func (v *Verifier) rate(p []float64, drafting float64) float64 {
	return Decided(p) / (drafting + v.checks.Of(len(p)+1))
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

// Plain reports whether the next token is to come without drafts, so that what they are compared
// with is known.
func (v *Verifier) Plain() bool { return !v.Always && (v.checks.Of(1) == 0 || v.checks.Old()) }

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
	rate = (1 + LeastGain) / one
	if v.Always {
		rate = 0
	}
	for i := range p {
		if r := v.rate(p[:i+1], 0); r > rate {
			n, rate = i+1, r
		}
	}
	k := v.kind(drafter)
	if n > 0 && (v.Always || k.credit >= 0) {
		return n, rate
	}
	if !v.try(k, len(p), 0, begin) { // how often its first is right is seen without a check
		return 0, 0
	}
	return len(p), v.rate(p, 0)
}

// try reports whether a drafter would have some credit left after a check of n drafts that
// decides no more than one token.
func (v *Verifier) try(k *kind, n int, drafting, left float64) bool {
	one := v.checks.Of(1)
	k.wants = (drafting+v.checks.Of(n+1))/one - 1 + left
	return k.credit >= k.wants
}

// Draft is what a costly drafter is asked for.
type Draft struct {
	Drafter string
	Token   float64 // seconds for a token of its
	Backlog float64 // seconds until it can draft at all, once
	Left    int     // tokens of the answer that may still come
	Rate    float64 // tokens a second that something else promises, 0: nothing does
}

// Pays reports whether a drafter that lacks nothing is predicted to pay, and the rate that is
// expected of it.
func (v *Verifier) Pays(d Draft) (rate float64, pays bool) {
	if v.checks.Of(1) == 0 {
		return 0, false
	}
	n, rate := Length(v.checks.Of, d.Token, v.kind(d.Drafter).accepted.Mean())
	return rate, n > 0 && rate > d.Rate
}

// Worth reports whether a costly drafter is worth asking at all.
func (v *Verifier) Worth(d Draft) bool {
	v.round.trial = 0
	one := v.checks.Of(1)
	if one == 0 {
		return false
	}
	if v.Always {
		return true
	}
	k := v.kind(d.Drafter)
	lacks := d.Backlog / one
	if rate, pays := v.Pays(d); pays {
		saves := (1 - 1/(rate*one)) * float64(min(d.Left, foreseen))
		least := paysBack
		if !k.accepted.sure() {
			least = paysBackUnsure
		}
		if (lacks < 1 || saves > least*lacks) && k.credit+k.invested >= 0 {
			if lacks >= 1 {
				k.invested = lacks
			}
			return true
		}
	}
	n := trialDraft
	if lacks > 1 {
		n = trialAfter
	}
	left := 0.
	if k.accepted.sure() { // it is rather kept for when it is needed
		left = begin
	}
	if d.Rate > 0 || d.Left < n || !v.try(k, n, float64(n)*d.Token+d.Backlog, left) {
		return false
	}
	v.round.trial = n
	return true
}

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
	if v.round.trial > 0 {
		return n < v.round.trial
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

// Keep returns how many of the tokens that were drafted are worth a row of the check, from the
// first on, now that drafting them is paid for.
func (v *Verifier) Keep(d Draft, levels []int) (n int) {
	if v.Always || v.round.trial > 0 || len(levels) == 0 {
		return len(levels)
	}
	p := v.probabilities(d.Drafter, levels)
	rate, _ := v.Pays(d)
	best := 1 - rate*v.checks.Of(1)
	for i := range p {
		if worth := Decided(p[:i+1]) - rate*v.checks.Of(i+2); worth > best {
			n, best = i+1, worth
		}
	}
	return n
}
