package speculate

import "math"

// MostDraft is how many tokens are drafted at most before a check.
const MostDraft = 7

// LeastGain is by how much a check has to be predicted to be the faster before anything is
// drafted.
const LeastGain = 0.02

// Length returns how many tokens are best drafted before each check, where a pass of so many
// rows takes cost(rows) and each drafted token takes so long and is right with a probability;
// and the tokens that are then decided in a unit of time. It is 0 where no length promises to
// be clearly faster than decoding one by one.
func Length(cost func(rows int) float64, token, right float64) (n int, rate float64) {
	one := 1 / cost(1)
	rate = one * (1 + LeastGain)
	tokens, reached := 1., 1.
	for k := 1; k <= MostDraft; k++ {
		reached *= right
		tokens += reached
		if r := tokens / (float64(k)*token + cost(k+1)); r > rate*(1+1e-12) {
			n, rate = k, r
		}
	}
	if n == 0 {
		rate = one
	}
	return n, rate
}

// Decided is the mean number of tokens that a check of drafts decides which are right with
// these probabilities, each if those before it are: the right ones before the first wrong one,
// and one that the check says itself.
func Decided(right []float64) float64 {
	tokens, reached := 1., 1.
	for _, p := range right {
		reached *= p
		tokens += reached
	}
	return tokens
}

// Expected is Decided of n drafts that are equally right.
func Expected(n int, right float64) float64 {
	if right >= 1 {
		return float64(n + 1)
	}
	return (1 - math.Pow(right, float64(n+1))) / (1 - right)
}
