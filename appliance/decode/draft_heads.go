package decode

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// headsKind are the exit heads on the model's own blocks; where those of the second stage
// were trained to go on from the first exit, that is a draft stage. A session with a draft
// model asks that in their place.
var headsKind = DraftKind{
	Name: "heads", Help: "exit heads on the board's blocks of the model",
	Sources: []infer.Source{infer.Exit1, infer.Exit2},
	of: func(s *Session) []drafter {
		if s.draft != nil {
			return nil
		}
		return s.exits()
	},
}

// exits of the session, the first one first.
func (s *Session) exits() (all []drafter) {
	for i := range s.heads {
		all = append(all, &s.heads[i])
	}
	return all
}

var exitSources = [...]infer.Source{infer.Exit1, infer.Exit2}

// headDraft is one exit of a session.
type headDraft struct {
	*Session
	exit int // counted from 0
}

func (d *headDraft) source() infer.Source { return exitSources[d.exit] }

func (d *headDraft) rule() policy.Exit {
	return policy.Exit{Index: d.exit, Threshold: cmp.Or(d.model.Exits[d.exit].Threshold, DefaultThreshold)}
}

// propose computes the exit's logits after the last position, which the head stage has
// computed: the tokens are the session's own.
func (d *headDraft) propose(ctx context.Context, tokens []int32) (p proposal, err error) {
	if len(tokens) != d.head {
		return p, fmt.Errorf("exit %d is asked for what comes after %d tokens, the head stage has %d", d.exit+1, len(tokens), d.head)
	}
	hidden, err := d.hiddenAt(ctx)
	if err != nil {
		return p, err
	}
	start, head := time.Now(), d.model.Exits[d.exit].Head
	logits, err := head.Logits(hidden)
	if err != nil {
		return p, err
	}
	p = proposal{pos: len(tokens), ids: head.Tokens(), logits: logits, stats: engine.Describe(logits)}
	if full := d.model.Exits[d.exit].Full; full != nil {
		p.full = func() ([]int32, []float32, error) {
			row, err := full.Logits(hidden)
			return full.Tokens(), row, err
		}
	}
	d.headCost.Observe(1, time.Since(start))
	return p, nil
}

// hiddenAt is the hidden state [n_embd] of the last position at the exit.
func (d *headDraft) hiddenAt(ctx context.Context) ([]float32, error) {
	if d.exit == 0 {
		return d.hidden, nil
	}
	return d.mid.at(ctx, d.head-1)
}

func (d *headDraft) backlog() int {
	if d.exit == 0 {
		return 0
	}
	return d.mid.queue.Len()
}

func (d *headDraft) catchUp(rows int) error {
	if d.exit == 0 {
		return nil
	}
	return d.mid.catchUp(rows)
}

func (d *headDraft) backlogCost(rows int) (mean, deviation time.Duration, known bool) {
	if d.exit == 0 {
		return 0, 0, true
	}
	return d.mid.cost.Cost(rows)
}

func (d *headDraft) proposalCost() (mean, deviation time.Duration, known bool) {
	return d.headCost.Cost(1)
}
