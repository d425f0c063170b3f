package partition

import (
	"errors"
	"time"

	"skerry/cloudlink/partition/fence"
)

// ErrRevoked is wrapped by Devices.Admitted for a device that may not connect
// any more.
var ErrRevoked = errors.New("device revoked")

// Devices is what the cloud knows of boards, written down durably.
type Devices interface {
	fence.Record
	// Admitted returns what the device may send, "text" or "hidden"; an error
	// wraps ErrRevoked when it was revoked.
	Admitted(device string) (may string, err error)
	// SawDevice keeps the newest status of a device: CBOR, at most 1 KiB.
	SawDevice(device string, status []byte, at time.Time) error
}
