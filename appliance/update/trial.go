package update

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Rules of a trial.
const (
	// Steady is how long the new version has to be ready without a break.
	Steady = 2 * time.Minute
	// patience is how long a trial may take, with loading a model from a slow card.
	patience = 15 * time.Minute
	// look is how often it is asked whether it is ready.
	look = 5 * time.Second
	// answerWithin is how long the answer of the one prompt may take.
	answerWithin = 5 * time.Minute
)

// Probe is what is asked of the version on trial.
type Probe interface {
	// Ready returns nil where it would answer, else why it would not.
	Ready(ctx context.Context) error
	// Answer has it answer a prompt.
	Answer(ctx context.Context) error
}

// Why a trial ends without having failed or gone well.
var (
	ErrOver      = errors.New("the trial is over: another version was started meanwhile")
	ErrTakenBack = errors.New("the version on trial was taken back")
)

// Watch watches a version on trial until it is kept, which it is once it was ready for
// steady, which is Steady but in tests, without a break and then answered a prompt, or has failed, of which the record
// then has the reason: the board is to be restarted. Any other error, as
// ErrOver, ErrTakenBack or the context's, decides nothing.
func (u *Updater) Watch(ctx context.Context, p Probe, steady time.Duration) (kept bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	why := prove(ctx, &watched{p, u, end}, steady)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case why != nil:
		return false, u.Fail(why.Error())
	}
	err = u.Keep()
	return err == nil, err
}

// watched is a probe that ends the trial where the record says that it is over.
type watched struct {
	Probe
	u   *Updater
	end context.CancelCauseFunc
}

func (w *watched) Ready(ctx context.Context) error {
	s, r, err := w.u.Status()
	switch {
	case err != nil:
		return err // it may be read the next time
	case s.Phase != OnTrial || r.Slot != s.Target:
		err = ErrOver
	case s.Failing != "":
		err = ErrTakenBack
	default:
		return w.Probe.Ready(ctx)
	}
	w.end(err)
	return err
}

// prove returns nil once the version has proved itself, else why it has not.
func prove(ctx context.Context, p Probe, steady time.Duration) error {
	began, since := time.Now(), time.Time{} // since: it is ready without a break
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, look)
		err := p.Ready(asked)
		cancel()
		now := time.Now()
		switch {
		case err != nil:
			since = time.Time{}
		case since.IsZero():
			since = now
		case now.Sub(since) >= steady:
			answered, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			if err := p.Answer(answered); err != nil {
				return fmt.Errorf("it was ready and did not answer a prompt: %w", err)
			}
			return nil
		}
		if now.Sub(began) >= patience {
			if err == nil {
				return fmt.Errorf("it was not ready for %v without a break within %v", steady, patience)
			}
			return fmt.Errorf("it was not ready within %v: %w", patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
