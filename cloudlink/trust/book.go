package trust

import "time"

// Invite is what a cloud keeps of a code.
type Invite struct {
	Hash    [32]byte
	Name    string // of the device; empty: as the board calls itself
	May     May    // the most the device may send; Unset: its own choice
	Made    time.Time
	Expires time.Time
}

// Device is what a cloud keeps of a board.
type Device struct {
	Name     string
	May      May
	Key      [32]byte // KeyHash of its certificate
	Revoked  bool
	Enrolled time.Time
	Expires  time.Time // its certificate
	Epoch    uint64    // highest seen
	Seen     time.Time // zero: never
	Status   []byte    // newest, CBOR
}

// Book is where a cloud writes invitations and devices down, durably. Its
// methods may be called concurrently.
type Book interface {
	AddInvite(Invite) error
	// UseInvite marks an invitation used and returns it. An error wraps
	// ErrUnknownCode, ErrUsed or ErrExpired.
	UseInvite(hash [32]byte, now time.Time) (Invite, error)
	// PutDevice records name, what it may send, key, enrolment and expiry, and
	// that it is not revoked; epoch and status of a device of that name stay.
	PutDevice(Device) error
	// Device returns an error wrapping ErrUnknown for a name not recorded.
	Device(name string) (Device, error)
	Devices() ([]Device, error)
	// RevokeDevice returns an error wrapping ErrUnknown for a name not recorded.
	RevokeDevice(name string) error
}
