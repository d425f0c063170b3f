package decode

import (
	"context"
	"slices"
	"time"

	"skerry/appliance/decode/policy"
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

// longestMatch and shortestMatch are how many of the last tokens are looked up, in turn.
const (
	longestMatch  = 3
	shortestMatch = 2
)

// lookUp finds the last of the tokens among those before them, the longest match and of
// those the newest, and returns what followed there; false where there is none.
func lookUp(tokens []int32) (id int32, ok bool) {
	for length := longestMatch; length >= shortestMatch; length-- {
		from := len(tokens) - length
		for i := from - 1; i >= 0; i-- {
			if slices.Equal(tokens[i:i+length], tokens[from:]) {
				return tokens[i+length], true
			}
		}
	}
	return 0, false
}

// lookupDraft keeps nothing: whatever text it is given is all there is.
type lookupDraft struct{}

func (lookupDraft) source() infer.Source { return infer.FromLookup }

// rule is one that no confidence satisfies.
func (lookupDraft) rule() policy.Exit { return policy.Exit{Index: 1, Threshold: 2} }

// propose names one token, with a logit that says nothing.
func (lookupDraft) propose(_ context.Context, tokens []int32) (proposal, error) {
	id, ok := lookUp(tokens)
	if !ok {
		return proposal{}, nil
	}
	return proposal{pos: len(tokens), ids: []int32{id}, logits: []float32{0}}, nil
}

func (lookupDraft) backlog() int      { return 0 }
func (lookupDraft) catchUp(int) error { return nil }

func (lookupDraft) backlogCost(int) (mean, deviation time.Duration, known bool) { return 0, 0, true }

func (lookupDraft) proposalCost() (mean, deviation time.Duration, known bool) { return 0, 0, true }
