package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/build/ask"
)

// cuts cuts the power until it was as often as it is wanted. The updates, which take the longest, are
// every fifth cut; answers and first starts take turns.
func (t *try) cuts(ctx context.Context) error {
	for t.Pulls < t.pulls {
		n := t.Pulls
		var err error
		switch {
		case n%5 == 4 && !t.card.pi:
			err = t.cutUpdate(ctx, n)
		case n%2 == 0:
			err = t.cutAnswer(ctx, n)
		default:
			err = t.cutFirst(ctx, n)
		}
		if ctx.Err() != nil {
			return ctx.Err() // it counts for nothing
		}
		t.Pulls++
		if err := errors.Join(err, t.save()); err != nil {
			return err
		}
	}
	return nil
}

// asItWas sees that the session before and the key are as they were.
func (t *try) asItWas(ctx context.Context, m *machine) error {
	again, err := m.export(ctx, "kept")
	switch {
	case err != nil:
		return err
	case again != t.Export:
		return fmt.Errorf("the session before is %.80q, and was %.80q", again, t.Export)
	case m.key != t.Key:
		return errors.New("the board has another key")
	}
	return nil
}

// cutAnswer cuts the power in the middle of an answer. The sessions before are there as they
// were, the key is the same, and the answer goes on to the text that it would have had.
func (t *try) cutAnswer(ctx context.Context, n int) error {
	m, what := t.card, fmt.Sprintf("cut %d, in an answer", n+1)
	if err := t.on(ctx); err != nil {
		return err
	}
	q := ask.New(fmt.Sprintf("cut-%d", n+1), tokens)
	cut := 1 + t.chance(n).IntN(q.Tokens-2)
	q.Seen = func(count int) bool { return count < cut }
	err := q.Once(ctx, m.daemon())
	if err == nil && q.Ended {
		err = errors.New("the answer was whole")
	}
	m.kill()
	if err != nil {
		t.note(err, what, "before the cut")
		return nil
	}
	q.Seen = nil
	shown := len(q.Text)
	began := time.Now()
	if err = t.on(ctx); err != nil {
		t.note(err, what, "after %d tokens", cut)
		return err
	}
	up := time.Since(began)
	if err = t.asItWas(ctx, m); err == nil {
		if err = m.whole(ctx, q); err == nil && q.Text != t.Answer {
			err = fmt.Errorf("the answer is %.80q, and not %.80q", q.Text, t.Answer)
		}
	}
	t.note(err, what, "after %d tokens (%d bytes); ready after %.0f s", cut, shown, up.Seconds())
	return nil
}

// cutFirst cuts the power of a new card in its first start. In the first fifth of it, the
// firmware's, nothing is written.
func (t *try) cutFirst(ctx context.Context, n int) error {
	what := fmt.Sprintf("cut %d, in a first start", n+1)
	t.card.kill() // two boards at once would take twice the time
	m := &machine{dir: filepath.Join(t.dir, fmt.Sprintf("first-%d", n+1)), pi: t.card.pi, starts: new(int)}
	if err := t.newCard(m); err != nil {
		return err
	}
	defer m.remove()
	after := t.First/5 + time.Duration(t.chance(n).Int64N(int64(t.First-t.First/5)))
	err := m.start(ctx)
	if err == nil {
		err = m.runUntil(ctx, after)
	}
	m.kill()
	key := m.shownKey()
	began := time.Now()
	if err == nil {
		if err = m.start(ctx); err == nil {
			err = m.ready(ctx)
		}
	}
	up := time.Since(began)
	if err == nil && key != "" && m.key != key {
		err = errors.New("the board has another key than it has shown")
	}
	q := ask.New("first", tokens)
	if err == nil {
		if err = m.whole(ctx, q); err == nil && q.Text != t.Answer {
			err = fmt.Errorf("the answer is %.80q, and not %.80q", q.Text, t.Answer)
		}
	}
	t.note(err, what, "after %.0f s computed; ready after %.0f s, and an answer", after.Seconds(), up.Seconds())
	return nil
}

// cutUpdate cuts the power at some moment of an update: while it is fetched and written, or in the
// start that tries it. A version whose trial was cut is not kept, but for one whose trial had not
// begun; the board runs one of the two, with everything that it had.
func (t *try) cutUpdate(ctx context.Context, n int) error {
	m, what := t.card, fmt.Sprintf("cut %d, in an update", n+1)
	if err := t.on(ctx); err != nil {
		return err
	}
	u, err := t.servedTo(ctx, m)
	if err != nil {
		return err
	}
	defer u.close()
	before, err := m.state(ctx)
	if err != nil {
		return err
	}
	chance, where := t.chance(n), ""
	if chance.IntN(2) == 0 {
		where, err = t.cutWhileApplied(ctx, u, chance.Float64())
	} else {
		where, err = t.cutTrial(ctx, u, chance.Float64())
	}
	m.kill()
	if err != nil {
		t.note(err, what, "%s", where)
		return err
	}
	began := time.Now()
	var s *install.State
	var up time.Duration
	if err = t.on(ctx); err == nil {
		up = time.Since(began)
		err = m.until(ctx, func(is *install.State) bool { s = is; return is.Phase == update.Idle })
	}
	if err == nil && newlyKept(before, s) != (s.Slot != before.Slot) {
		err = fmt.Errorf("slot %s runs after slot %s", s.Slot, before.Slot)
	}
	if err == nil {
		err = t.asItWas(ctx, m)
	}
	t.note(err, what, "%s; ready after %.0f s; %.60s", where, up.Seconds(), outcome(s))
	return nil
}

// cutWhileApplied lets an update be fetched and written until qemu has taken some processor time, which is
// a share of what a first start takes.
func (t *try) cutWhileApplied(ctx context.Context, u *updates, share float64) (where string, err error) {
	m := t.card
	applied := make(chan error, 1)
	began, err := m.computed()
	if err != nil {
		return "", err
	}
	go func() {
		_, err := m.ssh(ctx, apply(u, "sound"))
		applied <- err
	}()
	after := time.Duration(share * float64(t.First))
	err = m.runUntil(ctx, began+after)
	where = fmt.Sprintf("%.0f s computed after its begin", after.Seconds())
	select {
	case <-m.gone: // it was faster
		where, err = "at the restart after it was written", nil
	default:
		if s, stateErr := m.state(ctx); stateErr == nil {
			where += ", phase " + string(s.Phase)
		}
	}
	m.kill()
	<-applied // it ends with the board
	return where, err
}

// newlyKept says whether an update was kept between two states.
func newlyKept(before, after *install.State) bool {
	return after.Last != nil && after.Last.Kept && (before.Last == nil || !after.Last.At.Equal(before.Last.At))
}

// cutTrial applies an update and cuts the power in the start that tries it.
func (t *try) cutTrial(ctx context.Context, u *updates, share float64) (where string, err error) {
	m := t.card
	said, _ := m.ssh(ctx, apply(u, "sound")) // the connection may end with the board
	if err := m.off(ctx); err != nil {
		return "", fmt.Errorf("%w (%.200s)", err, said)
	}
	after := time.Duration(share * float64(t.First))
	if err = m.start(ctx); err == nil {
		err = m.runUntil(ctx, after)
	}
	return fmt.Sprintf("%.0f s computed of the start that tries it", after.Seconds()), err
}
