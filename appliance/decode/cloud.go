package decode

import (
	"cmp"
	"context"
	"errors"
	"time"

	"skerry/cloudlink/monitor"
)

// Cloud is the far end of one session as the loop sees it. While an ask waits,
// late perhaps, the loop goes on with the other methods.
//
// One that has Limit() int too tells how many positions it grants the session, 0 while that
// is not known: nothing is drafted beyond them.
//
// One that has Reachable() bool too tells whether its end has answered since the link was
// last lost, and takes the question as a sign that it is wanted: where something else may
// say the next token, nothing is asked before.
//
// An error of Ask that wraps a *TransientError passes: the loop asks again for a later
// token. Any other error of Ask, and every error of Append and Truncate, ends the use of
// the cloud for the rest of the session.
type Cloud interface {
	// Append queues the hidden states after exit 1 of positions from pos on for
	// upload and returns at once; hidden is [n][n_embd]float32.
	Append(pos int, hidden []float32) error
	// Ask has the tail stage catch up to pos and returns the topK best logits
	// after it, or with 0 all of them. It returns soon after ctx ends or the
	// link is lost, and at once while it is.
	Ask(ctx context.Context, pos, topK int) (Row, error)
	// Truncate forgets positions from pos on.
	Truncate(pos int) error
}

// TransientError is an error of a Cloud that passes: the link is lost for now, or the
// cloud is busy, stopping or failed.
type TransientError struct {
	Err error
	// Busy is set where the cloud refused because it is busy. It is not asked again before
	// RetryAfter has passed; 0 leaves it to the loop for how long.
	Busy       bool
	RetryAfter time.Duration
}

func (e *TransientError) Error() string { return e.Err.Error() }

// Unwrap returns the error that passes.
func (e *TransientError) Unwrap() error { return e.Err }

// ErrLinkDown is wrapped by what Result.Lost says of a link that was down already, so
// that nothing was asked.
var ErrLinkDown = errors.New("connection to the cloud lost")

// LinkEstimator is what a Cloud may know of its link besides; without it the loop asks
// whenever it may. One that has DownSince() time.Time too tells since when the link
// is down, zero while it is not: a conversation that begins on a link long down asks
// nothing first.
type LinkEstimator interface {
	// State of the link and the figures it rests on.
	State() (monitor.State, string)
	// Predict returns within what time nine of ten asks for pos would be answered
	// if asked now, and false while that is not known.
	Predict(pos int) (time.Duration, bool)
}

// retryAfter is how long a busy cloud is not asked that has not said for how long.
const retryAfter = time.Second

// isTransient tells errors that pass from those that stay.
func isTransient(err error) bool { return errors.As(err, new(*TransientError)) }

// busyFor returns for how long the cloud asked to be left alone, 0 if it did not.
func busyFor(err error) time.Duration {
	e := new(TransientError)
	if !errors.As(err, &e) || !e.Busy {
		return 0
	}
	return cmp.Or(max(e.RetryAfter, 0), retryAfter)
}
