package decode

import (
	"context"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// lookupKind is prompt lookup: what followed the last tokens where they stood before. It
// costs nothing and knows nothing: its tokens are for a mode that has every one of them
// checked.
var lookupKind = DraftKind{
	Name: "lookup", Help: "what followed the same tokens before",
	Sources: []infer.Source{infer.FromLookup},
	Free:    true,
	of:      func(*Session) []drafter { return []drafter{lookupDraft{}} },
}

// longestMatch and shortestMatch are how many of the last tokens are looked up, at most and
// at least.
const (
	longestMatch  = 16
	shortestMatch = 2
)

// lookUp finds the last of the tokens among those before them, the longest match and of
// those the newest, and returns where what followed there begins and how many tokens match;
// 0 where too few do.
func lookUp(tokens []int32) (at, length int) {
	n := len(tokens)
	for i := n - 1; i >= shortestMatch && length < longestMatch; i-- {
		k := 0
		for k < min(i, longestMatch) && tokens[i-1-k] == tokens[n-1-k] {
			k++
		}
		if k >= shortestMatch && k > length {
			at, length = i, k
		}
	}
	return at, length
}

// lookUpRun is what followed the last of the tokens where they stood before, up to so many.
// It is the more certain the more of them match.
func lookUpRun(tokens []int32, most int) (ds []drafted) {
	at, length := lookUp(tokens)
	if length == 0 {
		return nil
	}
	for i := range most {
		d := drafted{source: infer.FromLookup, level: lookUpLevel(length + i)}
		if from := at + i; from < len(tokens) {
			d.id = tokens[from]
		} else { // it runs into what it says itself
			d.id = ds[from-len(tokens)].id
		}
		if engine.IsImageToken(d.id) { // which no text says
			return ds
		}
		ds = append(ds, d)
	}
	return ds
}

// LookUp is prompt lookup's draft of what follows the tokens, up to so many, with the level of
// certainty of each, as package speculate has them; none without a match.
func LookUp(tokens []int32, most int) (ids []int32, certain []int) {
	for _, d := range lookUpRun(tokens, most) {
		ids, certain = append(ids, d.id), append(certain, d.level)
	}
	return ids, certain
}

// lookUpLevel is the level of certainty of a match of so many tokens.
func lookUpLevel(length int) int {
	level := 0
	for _, from := range [...]int{2, 3, 4, 6, 9} {
		if length >= from {
			level++
		}
	}
	return level
}

// lookupDraft keeps nothing: whatever text it is given is all there is.
type lookupDraft struct{}

func (lookupDraft) source() infer.Source { return infer.FromLookup }

// rule is one that no confidence satisfies.
func (lookupDraft) rule() policy.Exit { return policy.Exit{Index: 1, Threshold: 2} }

// propose names one token, with a logit that says nothing.
func (lookupDraft) propose(_ context.Context, tokens []int32) (proposal, error) {
	at, length := lookUp(tokens)
	if length == 0 || engine.IsImageToken(tokens[at]) {
		return proposal{}, nil
	}
	return proposal{pos: len(tokens), ids: tokens[at : at+1], logits: []float32{0}}, nil
}

func (lookupDraft) backlog() int      { return 0 }
func (lookupDraft) catchUp(int) error { return nil }

func (lookupDraft) backlogCost(int) (mean, deviation time.Duration, known bool) { return 0, 0, true }

func (lookupDraft) proposalCost() (mean, deviation time.Duration, known bool) { return 0, 0, true }
