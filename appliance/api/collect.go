package api

import (
	"cmp"
	"context"

	"skerry/appliance/answer"
)

// call of a tool, put together.
type call struct{ ID, Name, Arguments string }

// calls in the order of the answer.
type calls []call

// add puts pieces to what there is. Indexes that no answer has are dropped.
func (c *calls) add(deltas []answer.CallDelta) {
	for _, d := range deltas {
		if d.Index < 0 || d.Index > len(*c) {
			continue
		}
		if d.Index == len(*c) {
			*c = append(*c, call{})
		}
		to := &(*c)[d.Index]
		to.ID, to.Name = cmp.Or(to.ID, d.ID), cmp.Or(to.Name, d.Name)
		to.Arguments += d.Arguments
	}
}

// whole is an answer that has ended.
type whole struct {
	text   string
	tokens []answer.Token
	calls  calls
	end    answer.Event
}

// collect waits for the end of an answer.
func (s *server) collect(ctx context.Context, a answer.Answer) (w whole, err error) {
	var text []byte
	err = s.follow(ctx, a, 0, func(e answer.Event) error {
		switch e.Kind {
		case answer.Rewind: // there is nothing before the first token to be void
		case answer.End:
			w.end = e
		}
		text = append(text, e.Text...)
		w.tokens = append(w.tokens, e.Tokens...)
		w.calls.add(e.Calls)
		return e.Err
	}, nil)
	w.text = string(text)
	return w, err
}

// truth of an answer's end, which every reply has.
func truth(a answer.Answer, e answer.Event) *answer.Truth {
	if e.Truth != nil {
		return e.Truth
	}
	return &answer.Truth{Answer: a.ID(), Session: a.Session(), Sources: map[string]int{}}
}
