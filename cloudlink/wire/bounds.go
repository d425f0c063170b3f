package wire

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Bounds of numbers in messages. A reader refuses what lies beyond them, so that no
// later sum or conversion overflows.
const (
	// maxWork bounds what a cloud may say it waited or computed for one answer, in µs.
	maxWork = 24 * 3600e6
	// maxPause bounds how long a peer may ask to be left alone, in ms.
	maxPause = 24 * 3600e3
	// maxClock bounds times by the cloud's clock, in µs since 1970: the largest that
	// a count of nanoseconds still holds.
	maxClock = math.MaxInt64 / 1000
	// maxBytes bounds counts of bytes.
	maxBytes = 1 << 62
	// maxEpoch is the highest epoch that a board can count on from; a cloud that has
	// seen a higher one says that they are used up.
	maxEpoch = 3 << 62
	// MaxTokenID is one more than the largest token id: ids are kept as float32
	// too, which counts exactly to here.
	MaxTokenID = 1 << 24
	// maxOwner bounds the address of another worker, in bytes.
	maxOwner = 512
)

var (
	errNumber   = errors.New("a number that is none")
	errDuration = errors.New("a time out of range")
	errCount    = errors.New("a count out of range")
	errToken    = errors.New("a token id out of range")
	errTwice    = errors.New("a token id twice")
	errOrder    = errors.New("candidates are not by falling logit")
	errStop     = errors.New("an unknown reason to stop")
)

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// check refuses an answer whose numbers no forward pass gives. That it is what was
// asked for is for the asker to see.
func (a *Answer) check() error {
	if err := a.Ref.check(); err != nil {
		return err
	}
	if a.Queue > maxWork || a.Compute > maxWork {
		return errDuration
	}
	if a.Rows > maxPosition {
		return errCount
	}
	for i := range a.Len() {
		ids, logits, sum := a.Row(i)
		if err := checkRow(ids, logits, sum); err != nil {
			return err
		}
	}
	return nil
}

// checkRow refuses a row of logits that no forward pass gives.
func checkRow(ids []int32, logits []float32, sum float64) error {
	if !finite(sum) {
		return fmt.Errorf("log-sum-exp: %w", errNumber)
	}
	for _, v := range logits {
		if !finite(float64(v)) {
			return fmt.Errorf("logits: %w", errNumber)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return ranked(ids, logits)
}

// ranked checks candidates: distinct ids by falling logit, ties by rising id.
func ranked(ids []int32, logits []float32) error {
	for i, id := range ids {
		if id < 0 || id >= MaxTokenID {
			return fmt.Errorf("%w: %d", errToken, id)
		}
		if i > 0 && (logits[i] > logits[i-1] || logits[i] == logits[i-1] && id < ids[i-1]) {
			return errOrder
		}
	}
	sorted := slices.Sorted(slices.Values(ids))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return fmt.Errorf("%w: %d", errTwice, sorted[i])
		}
	}
	return nil
}

func (t *Token) check() error {
	switch {
	case t.ID < 0 || t.ID >= MaxTokenID:
		return fmt.Errorf("%w: %d", errToken, t.ID)
	case !(t.Confidence >= 0 && t.Confidence <= 1+1e-6):
		return fmt.Errorf("confidence %v: %w", t.Confidence, errNumber)
	case !finite(t.Margin) || t.Margin < 0:
		return fmt.Errorf("margin %v: %w", t.Margin, errNumber)
	case t.Queue > maxWork || t.Compute > maxWork:
		return errDuration
	case t.Stop > StopContext:
		return fmt.Errorf("%w: %d", errStop, t.Stop)
	}
	return t.Ref.check()
}

func (r *Receipt) check() error {
	if r.Time > maxClock || r.Queue > maxWork {
		return errDuration
	}
	if r.Bytes > maxBytes {
		return errCount
	}
	return r.Ref.check()
}

func (e *Error) check() error {
	switch {
	case e.RetryAfter > maxPause:
		return errDuration
	case e.Highest > maxEpoch:
		return errCount
	case len(e.Owner) > maxOwner:
		return errLength
	case e.Code == 0:
		return errors.New("an error without a code")
	}
	return e.Ref.check()
}
