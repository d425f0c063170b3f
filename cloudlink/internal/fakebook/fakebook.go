// Package fakebook is a cloud's record of invitations and devices in memory,
// for tests.
package fakebook

import (
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/trust"
)

// Book is a trust.Book. Its zero value is empty.
type Book struct {
	mu      sync.Mutex // guards all following
	invites map[[32]byte]*invite
	devices map[string]trust.Device
	// Err, where set, comes out of every call.
	Err error
}

type invite struct {
	trust.Invite
	used bool
}

func (b *Book) AddInvite(i trust.Invite) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.invites == nil {
		b.invites = map[[32]byte]*invite{}
	}
	b.invites[i.Hash] = &invite{Invite: i}
	return b.Err
}

func (b *Book) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.invites[hash]
	switch {
	case b.Err != nil:
		return trust.Invite{}, b.Err
	case !ok:
		return trust.Invite{}, trust.ErrUnknownCode
	case i.used:
		return trust.Invite{}, trust.ErrUsed
	case now.After(i.Expires):
		return trust.Invite{}, trust.ErrExpired
	}
	i.used = true
	return i.Invite, nil
}

func (b *Book) PutDevice(d trust.Device) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.devices == nil {
		b.devices = map[string]trust.Device{}
	}
	b.devices[d.Name] = d
	return b.Err
}

func (b *Book) Device(name string) (trust.Device, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.devices[name]
	if !ok && b.Err == nil {
		return d, fmt.Errorf("%w: %s", trust.ErrUnknown, name)
	}
	return d, b.Err
}

func (b *Book) Devices() (all []trust.Device, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.devices {
		all = append(all, d)
	}
	return all, b.Err
}

func (b *Book) RevokeDevice(name string) error {
	d, err := b.Device(name)
	if err != nil {
		return err
	}
	d.Revoked = true
	return b.PutDevice(d)
}

// Forget removes the record of a device.
func (b *Book) Forget(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.devices, name)
	return b.Err
}
