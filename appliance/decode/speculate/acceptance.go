package speculate

import "math"

// Levels is how many levels of certainty a drafter has, 0 the least certain.
const Levels = 6

// LevelOf is the level of a confidence, the probability that a drafter gives its token.
func LevelOf(confidence float64) int {
	level := 0
	for _, from := range [Levels - 1]float64{0.3, 0.5, 0.7, 0.85, 0.95} {
		if confidence >= from {
			level++
		}
	}
	return level
}

const (
	// memory is of how many of the last proposals at a level the acceptance is the mean,
	// about.
	memory = 64
	// priorWeight is how many proposals the expectation before any is worth.
	priorWeight = 4
	// enough is how many proposals have to be seen before what they say is relied on.
	enough = 16
)

// priors are what is expected at a level of which nothing was seen: that a confidence is
// about a probability.
var priors = [Levels]float64{0.2, 0.4, 0.6, 0.75, 0.85, 0.95}

// Acceptance is how often of late a drafter's tokens were what the full model said, by level.
type Acceptance struct {
	checked, agreed [Levels]float64
	expected        float64 // of a token, before any was seen; 0: meanPrior
}

// Observe takes in whether a token was accepted.
func (a *Acceptance) Observe(level int, accepted bool) {
	level = min(max(level, 0), Levels-1)
	const keep = 1 - 1./memory
	a.checked[level] = a.checked[level]*keep + 1
	a.agreed[level] *= keep
	if accepted {
		a.agreed[level]++
	}
}

// Of is the expected acceptance at a level.
func (a *Acceptance) Of(level int) float64 {
	level = min(max(level, 0), Levels-1)
	return (a.agreed[level] + priorWeight*priors[level]) / (a.checked[level] + priorWeight)
}

// Mean is the expected acceptance of a token whose level is not known.
func (a *Acceptance) Mean() float64 {
	prior, weight := meanPrior, float64(priorWeight)
	if a.expected > 0 {
		prior, weight = a.expected, enough
	}
	checked, agreed := weight, weight*prior
	for i := range a.checked {
		checked += a.checked[i]
		agreed += a.agreed[i]
	}
	return math.Min(agreed/checked, 1)
}

// Seen is how many proposals the mean rests on, those before any that was seen aside.
func (a *Acceptance) Seen() (n float64) {
	for _, checked := range a.checked {
		n += checked
	}
	return n
}

// sure reports whether the mean is more than a guess.
func (a *Acceptance) sure() bool { return a.expected > 0 || a.Seen() >= enough }

// meanPrior is that of a drafter of which nothing was seen.
const meanPrior = 0.7
