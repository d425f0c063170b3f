package fleet

import (
	"context"
	"errors"
	"time"

	"skerry/cloudlink/wire"
)

// Owners is a fleet as a cloud partition asks it, a partition.Owners.
type Owners struct{ Fleet *Fleet }

// busyFor is after what time a board should come again that nobody can claim now.
const busyFor = 2 * time.Second

// Claim is Fleet.Claim with the refusal that the board is told.
func (o Owners) Claim(ctx context.Context, device, bundle string, moves wire.Moves) (uint64, *wire.Error) {
	revision, err := o.Fleet.Claim(ctx, device, bundle, moves)
	var not *NotOwnerError
	switch {
	case err == nil:
		return uint64(revision), nil
	case errors.As(err, &not):
		return 0, &wire.Error{Code: wire.CodeNotOwner, Owner: not.Owner, Text: not.Error()}
	}
	o.Fleet.log.Warn("board not claimed", "device", device, "err", err)
	return 0, &wire.Error{
		Code: wire.CodeBusy, RetryAfter: uint64(busyFor.Milliseconds()),
		Text: "the workers of this cloud cannot agree now on who has a board (their etcd does not answer), and this one has not had it: it tries again by itself",
	}
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
