package cloudnode

import (
	"errors"
	"path/filepath"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"skerry/storage"
)

// DeviceStore is a cloud's database: the devices, their connections' numbers and states,
// the invitations, and the keys of session tickets. Its methods may be called concurrently.
// What the cloud acts on is in the file before the call returns; callers that come together
// share a commit. After an error of the commit it may or may not get there.
type DeviceStore struct {
	*storage.Store
	mu sync.Mutex // held from reading to writing, not through the commit
}

// The tables and values of the database. Records have a version of their own, 1 so far;
// those of before there were versions have 0, and the same fields.
var (
	deviceBucket = storage.NewBucket[deviceRecord]("devices", nil) // by name
	epochBucket  = storage.NewBucket[uint64]("epochs", nil)        // by name: the highest epoch
	lineBucket   = storage.NewBucket[epochLine]("lines", nil)      // by name
	seenBucket   = storage.NewBucket[seenRecord]("seen", nil)      // by name
	inviteBucket = storage.NewBucket[inviteRecord]("invites", nil) // by hash
	ringBucket   = storage.NewBucket[string]("rings", nil)         // by name of a device
	offerBucket  = storage.NewBucket[offerRecord]("offers", nil)   // by ring
	ticketKeys   = storage.NewValue[[][32]byte]("ticket keys")

	cloudKind = storage.Kind{
		Name:   "cloud",
		Tables: []storage.Table{deviceBucket, epochBucket, lineBucket, seenBucket, inviteBucket, ringBucket, offerBucket},
		Values: []storage.Named{ticketKeys},
	}
)

// recordVersion is what new records have.
const recordVersion = 1

// OpenDeviceStore opens the database in a cloud's state directory, or makes it. It waits
// for another process only as long as lock; then the error wraps storage.ErrLocked. A
// device that was lost with a damaged file is not admitted until it has enrolled anew.
func OpenDeviceStore(state string, lock time.Duration) (*DeviceStore, error) {
	s, err := storage.OpenStore(filepath.Join(state, "cloud.db"), cloudKind, storage.Options{LockTimeout: lock})
	if err != nil {
		return nil, err
	}
	return &DeviceStore{Store: s}, nil
}

// TicketKeys returns the keys that PutTicketKeys kept, nil when there are none.
func (s *DeviceStore) TicketKeys() ([][32]byte, error) {
	k, _, err := ticketKeys.Get(s.Store)
	return k, err
}

// PutTicketKeys keeps the keys session tickets are sealed with, in place of those before.
func (s *DeviceStore) PutTicketKeys(k [][32]byte) error { return s.Keep(ticketKeys.Put(k)) }

// errName is of a device's name that is empty, too long or not text.
var errName = errors.New("bad name of a device: use 1 to 255 bytes of text without control characters")

// checkName keeps control characters out of keys and of logs.
func checkName(name string) error {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) {
		return errName
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return errName
		}
	}
	return nil
}

// utc returns t as it can be written: RFC 3339 has no years beyond 9999.
func utc(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
