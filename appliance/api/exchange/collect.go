package exchange

import (
	"cmp"
	"context"

	"skerry/appliance/infer"
)

// call of a tool, put together.
type call struct{ ID, Name, Arguments string }

// Calls in the order of the answer.
type Calls []call

// Add puts pieces to what there is. Indexes that no answer has are dropped.
func (c *Calls) Add(deltas []infer.CallDelta) {
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

// Whole is an answer that has ended.
type Whole struct {
	Thought string
	Text    string
	Tokens  []infer.Token
	Calls   Calls
	End     infer.Event
}

// Collect waits for the end of an answer.
func (s *Server) Collect(ctx context.Context, a infer.Answer) (w Whole, err error) {
	var text, thought []byte
	err = s.Relay(ctx, a, 0, func(e infer.Event) error {
		switch e.Kind {
		case infer.Rewind: // there is nothing before the first token to be void
		case infer.End:
			w.End = e
		}
		text, thought = append(text, e.Text...), append(thought, e.Thought...)
		w.Tokens = append(w.Tokens, e.Tokens...)
		w.Calls.Add(e.Calls)
		return e.Err
	}, nil)
	w.Text, w.Thought = string(text), string(thought)
	return w, err
}

// Provenance of an answer's end, which every reply has, with what of the request had no
// effect.
func Provenance(a infer.Answer, e infer.Event, ignored []infer.Ignored) *infer.Provenance {
	p := infer.Provenance{Answer: a.ID(), Session: a.Session(), Sources: map[infer.Source]int{}}
	if e.Provenance != nil {
		p = *e.Provenance
	}
	p.Ignored = ignored
	return &p
}
