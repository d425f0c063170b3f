package decode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// localTail is the model after exit 1 on the board, for when the cloud cannot be asked. Its
// backlog are the hidden states that are kept for the cloud anyway: what it has not
// computed yet it computes once it is needed, and so costs nothing until then.
type localTail struct {
	stage   Stage // nil: it is not here
	seq     int
	context int // positions it may hold
	done    int // of them computed
}

// truncate forgets positions from pos on.
func (r *localTail) truncate(pos int) error {
	if r.stage == nil || r.done <= pos {
		return nil
	}
	r.done = pos
	return r.stage.Truncate(r.seq, pos)
}

// standIn is what on the board takes the place of a cloud that cannot be asked.
type standIn int

const (
	nobody        standIn = iota
	draftStandsIn         // the draft model, or the deepest exit where calibration believes it alone
	wholeStandsIn         // the whole model
)

// errNoCloud is of a session that could not be opened in the cloud.
var errNoCloud = errors.New("there is no session with the cloud")

// ErrNoTail is wrapped by the error of a Tail that turns out not to be had after all:
// the session goes on without.
var ErrNoTail = errors.New("the rest of the model is not to be had on this board")

// standIn of the session for its next token.
func (s *Session) standIn() standIn {
	switch n := len(s.model.Exits); {
	case s.draft != nil:
		return draftStandsIn
	case s.tail.stage != nil && len(s.tokens) <= s.tail.context:
		return wholeStandsIn
	case n > 0 && s.model.Exits[n-1].Alone:
		return draftStandsIn
	}
	return nobody
}

// unreachable reports whether no answer of the cloud can be had at present, however long one waits
// within reason; a deadline that is missed is another matter.
func unreachable(why infer.Reason) bool {
	return why == infer.WhyLost || why == infer.WhyDown || why == infer.WhyBusy || why == infer.WhyPoor
}

// sampleStandIn is the token of whoever stands in for the cloud. An answer that nobody can
// go on with ends.
func (l *loop) sampleStandIn(ctx context.Context, why infer.Reason) (infer.Token, error) {
	if !unreachable(why) {
		return l.sampleLast(ctx, why)
	}
	if l.draft != nil { // which may fail, so that another has to stand in
		if _, err := l.lastWord(ctx); err != nil {
			return infer.Token{}, err
		}
	}
	if l.standIn() == wholeStandsIn {
		t, err := l.sampleWhole(ctx, why)
		if !errors.Is(err, ErrNoTail) {
			return t, err
		}
		l.tail.stage = nil
		l.result.Lost = errors.Join(l.result.Lost, err)
	}
	if l.standIn() == draftStandsIn || why == infer.WhyPoor { // which is only for a bound that the user has set
		return l.sampleLast(ctx, why)
	}
	return infer.Token{}, l.errNobodyLeft()
}

// errNobodyLeft is the end of an answer that nobody on this board can go on with.
func (l *loop) errNobodyLeft() error {
	why := l.cloudErr
	if why == nil {
		why = l.result.Lost
	}
	if why == nil {
		why = errors.New("it is busy")
	}
	return fmt.Errorf("%w, and nothing on this board may speak in its place: %w", errLost, why)
}

// sampleWhole is the whole model's token, computed on this board.
func (l *loop) sampleWhole(ctx context.Context, why infer.Reason) (infer.Token, error) {
	row, err := l.catchUpTail(ctx)
	if err != nil {
		return infer.Token{}, err
	}
	t, err := l.choose(nil, row, engine.Describe(row), infer.FromUnsplit)
	t.Verified, t.Why = true, why
	if !l.tailActive {
		l.tailActive = true
		l.markChange(Unsplit, fmt.Sprintf("%s: the whole model goes on, on this board", why))
	}
	return t, err
}

// catchUpTail has the rest of the model compute all it lacks, and returns the logits
// after the last token.
func (l *loop) catchUpTail(ctx context.Context) (row []float32, err error) {
	r, w, start := &l.tail, l.width(), time.Now()
	first, total := r.done, len(l.tokens)
	if err := r.truncate(total - 1); err != nil { // the last one is computed again: its logits are wanted
		return nil, err
	}
	for r.done < total {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows := l.rows.buffer.Run(r.done, min(total, r.done+4*prefillRows))
		n := len(rows) / w
		if n == 0 {
			return nil, fmt.Errorf("the hidden state of position %d is not at hand", r.done)
		}
		b := engine.NewBatch(r.seq, r.done, n, 0)
		b.Hidden = rows
		if r.done+n == total {
			b.Want[n-1] = engine.WantLogits
		}
		out, err := r.stage.Forward(b)
		if err != nil {
			return nil, err
		}
		r.done, row = r.done+n, out.Logits
		if l.opt.CatchUp != nil && r.done < total {
			l.opt.CatchUp(r.done-first, total-first)
		}
	}
	if l.result.Handover == 0 {
		l.result.Handover, l.result.HandoverTook = total-first, time.Since(start)
	}
	return row, nil
}

// markChange has the next token carry a change of who decides.
func (l *loop) markChange(to infer.Mode, reason string) {
	l.change = &infer.Change{At: len(l.tokens), To: to, Reason: reason}
	l.result.Changes = append(l.result.Changes, *l.change)
}

// longestCut is how long an answer that nobody can go on with waits for the cloud:
// a short cut then costs nothing but its own time.
const longestCut = 10 * time.Second
