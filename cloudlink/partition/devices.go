package partition

import (
	"errors"
	"time"
)

// ErrRevoked is wrapped by Devices.Admitted for a device that may not connect
// any more.
var ErrRevoked = errors.New("device revoked")

// Devices is what the cloud knows of boards, written down durably.
type Devices interface {
	// RaiseEpoch records epoch for device if it is above the highest seen, and
	// reports the highest. It has been synced when it returns.
	RaiseEpoch(device string, epoch uint64) (highest uint64, raised bool, err error)
	// Admitted returns what the device may send, "text" or "hidden"; an error
	// wraps ErrRevoked when it was revoked.
	Admitted(device string) (may string, err error)
	// SawDevice keeps the newest status of a device: CBOR, at most 1 KiB.
	SawDevice(device string, status []byte, at time.Time) error
}
