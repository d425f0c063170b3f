package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"skerry/cloudlink/wire"
)

// Owners is a fleet as a cloud partition asks it, a partition.Owners.
type Owners struct{ Fleet *Fleet }

// Claim is Fleet.Claim with the refusal that the board is told.
func (o Owners) Claim(ctx context.Context, device, bundle string, moves wire.Moves) (uint64, *wire.Error) {
	revision, err := o.Fleet.Claim(ctx, device, bundle, moves)
	var not *NotOwnerError
	switch {
	case err == nil:
		o.Fleet.made()
		return uint64(revision), nil
	case errors.As(err, &not):
		return 0, &wire.Error{Code: wire.CodeNotOwner, Owner: not.Owner, Text: not.Error()}
	}
	o.Fleet.log.Warn("board not claimed", "device", device, "err", err)
	return 0, &wire.Error{
		Code: wire.CodeBusy, RetryAfter: uint64(o.Fleet.comeAgain().Milliseconds()),
		Text: "the workers of this cloud cannot agree now on who has a board (their etcd does not answer), and this one has not had it: it tries again by itself",
	}
}

// comeAgain is after what time a board should come again that could not be claimed.
func (f *Fleet) comeAgain() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.later.Failed(time.Now(), rand.Float64())
}

func (f *Fleet) made() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.later.Made(time.Now())
}

// Others is Fleet.Others.
func (o Owners) Others(device string) []string { return o.Fleet.Others(device) }

// Draw is Fleet.Draw.
func (o Owners) Draw(ctx context.Context, device string, perMinute int, positions float64) (float64, time.Duration, error) {
	return o.Fleet.Draw(ctx, device, perMinute, positions)
}

// Return is Fleet.Return.
func (o Owners) Return(ctx context.Context, device string, perMinute int, positions float64) error {
	return o.Fleet.Return(ctx, device, perMinute, positions)
}
