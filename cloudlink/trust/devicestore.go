package trust

import (
	"encoding/hex"
	"time"
)

// Invite is what a cloud keeps of a code.
type Invite struct {
	Hash       [32]byte
	Name       string     // of the device; empty: as the board calls itself
	Disclosure Disclosure `json:"May"` // the most the device may send; Unset: its own choice
	Made       time.Time
	Expires    time.Time
	// Used is when a board used it, or the operator withdrew it; zero: it is open.
	Used      time.Time
	Withdrawn bool
}

// ID is what an operator calls the invitation by: it gives nothing of the code away.
func (i Invite) ID() string { return hex.EncodeToString(i.Hash[:4]) }

// State is open, used, withdrawn or expired.
func (i Invite) State(now time.Time) string {
	switch {
	case i.Withdrawn:
		return "withdrawn"
	case !i.Used.IsZero():
		return "used"
	case !now.Before(i.Expires):
		return "expired"
	}
	return "open"
}

// Device is what a cloud keeps of a board. It travels as JSON between a running cloud
// and its operator's commands, which may be of another version: what a field is called
// there stays.
type Device struct {
	Name       string
	Disclosure Disclosure `json:"May"`
	Key        [32]byte   // KeyHash of its certificate
	Revoked    bool
	Enrolled   time.Time
	Expires    time.Time // its certificate
	Epoch      uint64    // highest seen
	Seen       time.Time // zero: never
	Status     []byte    // newest, CBOR
}

// DeviceStore is where a cloud writes invitations and devices down, durably. Its
// methods may be called concurrently.
type DeviceStore interface {
	AddInvite(Invite) error
	// UseInvite marks an invitation used and returns it. An error wraps
	// ErrUnknownCode, ErrUsed, ErrWithdrawn or ErrExpired.
	UseInvite(hash [32]byte, now time.Time) (Invite, error)
	// Invites lists invitations, those of the last month that can not be used
	// any more included.
	Invites() ([]Invite, error)
	// WithdrawInvite takes an invitation back. An error wraps ErrUnknownCode or
	// ErrUsed.
	WithdrawInvite(hash [32]byte, now time.Time) error
	// PutDevice records name, what it may send, key, enrolment and expiry, and
	// that it is not revoked; epoch and status of a device of that name stay.
	PutDevice(Device) error
	// Device returns an error wrapping ErrUnknown for a name not recorded.
	Device(name string) (Device, error)
	Devices() ([]Device, error)
	// RevokeDevice returns an error wrapping ErrUnknown for a name not recorded.
	RevokeDevice(name string) error
}
