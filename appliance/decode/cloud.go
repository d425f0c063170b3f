package decode

import (
	"context"
	"errors"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
)

// Cloud is the far end of one session as the loop sees it. While an ask waits,
// late perhaps, the loop goes on with the other methods.
//
// Errors of Ask that wrap cloudlink.ErrLost, ErrDraining, ErrBusy, ErrStale or
// ErrInternal are of the moment: the loop asks again for a later token. Any other
// error of Ask, and every error of Append and Truncate, ends the use of the cloud
// for the rest of the session.
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

// Outlook is what a Cloud may know of its link besides; without it the loop asks
// whenever it may. One that has DownSince() time.Time too tells since when the link
// is down, zero while it is not: a conversation that begins on a link long down asks
// nothing first.
type Outlook interface {
	// State of the link and the figures it rests on.
	State() (monitor.State, string)
	// Predict returns within what time nine of ten asks for pos would be answered
	// if asked now, and false while that is not known.
	Predict(pos int) (time.Duration, bool)
}

// retryAfter is how long a cloud is left alone that is busy and has not said for
// how long.
const retryAfter = time.Second

// passing tells errors of the moment from those that stay.
func passing(err error) bool {
	return errors.Is(err, cloudlink.ErrLost) || errors.Is(err, cloudlink.ErrDraining) ||
		errors.Is(err, cloudlink.ErrStale) || errors.Is(err, cloudlink.ErrBusy) || errors.Is(err, cloudlink.ErrInternal)
}

// busy returns for how long the cloud asked to be left alone, 0 if it did not.
func busy(err error) time.Duration {
	if !errors.Is(err, cloudlink.ErrBusy) {
		return 0
	}
	if r := new(cloudlink.RemoteError); errors.As(err, &r) && r.RetryAfter > 0 {
		return r.RetryAfter
	}
	return retryAfter
}
