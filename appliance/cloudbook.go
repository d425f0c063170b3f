package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

// cloudBook is a cloud's database as the enrolment desk and the partition know
// it.
type cloudBook struct{ *storage.CloudDB }

// openCloudBook opens the database in a cloud's state directory. It waits for
// another process only as long as lock; then the error wraps storage.ErrLocked.
func openCloudBook(state string, lock time.Duration) (cloudBook, error) {
	db, err := storage.OpenCloud(filepath.Join(state, "cloud.db"), storage.Options{LockTimeout: lock})
	return cloudBook{db}, err
}

// known gives errors of the database the names that others match.
func known(err error) error {
	for from, to := range map[error]error{
		storage.ErrNoInvite: trust.ErrUnknownCode, storage.ErrUsed: trust.ErrUsed,
		storage.ErrExpired: trust.ErrExpired, storage.ErrNoDevice: trust.ErrUnknown,
	} {
		if errors.Is(err, from) {
			return to
		}
	}
	return err
}

func (b cloudBook) AddInvite(i trust.Invite) error {
	return b.CloudDB.AddInvite(storage.Invite{Hash: i.Hash, Device: i.Name, May: string(i.May), Created: i.Made, Expires: i.Expires})
}

func (b cloudBook) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	i, err := b.CloudDB.UseInvite(hash, now)
	return trust.Invite{Hash: i.Hash, Name: i.Device, May: trust.May(i.May), Made: i.Created, Expires: i.Expires}, known(err)
}

func (b cloudBook) PutDevice(d trust.Device) error {
	return b.CloudDB.PutDevice(storage.Device{Name: d.Name, May: string(d.May), Key: d.Key, Enrolled: d.Enrolled, Expires: d.Expires})
}

func (b cloudBook) Device(name string) (trust.Device, error) {
	d, err := b.CloudDB.Device(name)
	return device(d), known(err)
}

func (b cloudBook) Devices() (all []trust.Device, err error) {
	list, err := b.CloudDB.Devices()
	for _, d := range list {
		all = append(all, device(d))
	}
	return all, err
}

func (b cloudBook) RevokeDevice(name string) error {
	if err := known(b.CloudDB.RevokeDevice(name)); errors.Is(err, trust.ErrUnknown) {
		return fmt.Errorf("%w %s (`skerry cloud devices` lists those enrolled)", err, name)
	} else if err != nil {
		return err
	}
	return nil
}

func device(d storage.Device) trust.Device {
	return trust.Device{
		Name: d.Name, May: trust.May(d.May), Key: d.Key, Revoked: !d.Revoked.IsZero(),
		Enrolled: d.Enrolled, Expires: d.Expires, Epoch: d.Epoch, Seen: d.Seen, Status: d.Status,
	}
}

// Admitted tells a board that is not let in what to do.
func (b cloudBook) Admitted(name string) (string, error) {
	may, err := b.CloudDB.Admitted(name)
	switch {
	case errors.Is(err, storage.ErrRevoked):
		return "", refusal{partition.ErrRevoked, trust.RevokedText(name)}
	case errors.Is(err, storage.ErrNoDevice):
		return "", refusal{partition.ErrUnknownDevice, "device " + name + " is not known to this cloud: have its operator run `skerry cloud invite --name " + name + "`, then `skerry enroll CODE` here"}
	}
	return may, err
}

// refusal is a kind of error with a text of its own.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }
