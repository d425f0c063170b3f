package predict

import (
	"math"

	"skerry/appliance/decode/speculate"
)

// schedule is that of drafts and checks: so many tokens are drafted, or taken from behind a match,
// then checked in one batch, which also says the token after the last right one. The lengths are
// those that whoever decodes chooses (package speculate): 0, a plain pass, where no other is
// clearly faster.
type schedule struct {
	token  float64 // time of a drafted token
	right  float64 // the probability that it is
	lookup Lookup
	check  func(rows int) float64 // from the end of drafting to what a batch says
	// ahead is the part of a check in which the drafter is free and drafts on, as if all of what
	// is checked were right; nil where it is not.
	ahead func(rows int) float64

	draft, match int     // the lengths
	share        float64 // of checks that are of a match
	said         float64 // tokens of a check, in the mean
}

// perToken chooses the lengths, and is the mean time of a token.
func (s *schedule) perToken() float64 {
	rate := 0.
	if s.right > 0 {
		s.draft, rate = speculate.Length(s.check, s.token, s.right)
	}
	right := s.right
	if s.draft == 0 {
		right = 0
	}
	took := s.drafting() + s.check(s.draft+1)
	s.said = speculate.Expected(s.draft, right)
	if s.lookup.Share > 0 {
		var found float64
		if s.match, found = speculate.Length(s.check, 0, s.lookup.Acceptance); s.match == 0 || found < rate {
			s.match = 0 // and what follows a match is drafted like all else
		} else {
			s.share = s.lookup.Share
			took = s.share*s.check(s.match+1) + (1-s.share)*took
			s.said = s.share*speculate.Expected(s.match, s.lookup.Acceptance) + (1-s.share)*s.said
		}
	}
	return took / s.said
}

// drafting is the mean time of it before a check. What was drafted during the check before is
// ready where all of that was right and its own token was foreseen.
func (s *schedule) drafting() float64 {
	if s.draft == 0 || s.ahead == nil || s.token == 0 {
		return float64(s.draft) * s.token
	}
	ready := min(int(s.ahead(s.draft+1)/s.token), speculate.MostDraft+1) - 1
	foreseen := math.Pow(s.right, float64(s.draft+1))
	return (float64(s.draft) - foreseen*float64(min(max(ready, 0), s.draft))) * s.token
}

// perCheck is the mean of something that depends on the rows of a check.
func (s *schedule) perCheck(of func(rows int) float64) float64 {
	return s.share*of(s.match+1) + (1-s.share)*of(s.draft+1)
}
