// Package fakestore is a cloud's record of invitations and devices in memory,
// for tests.
package fakestore

import (
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/trust"
)

// Store is a trust.DeviceStore. Its zero value is empty.
type Store struct {
	mu      sync.Mutex // guards all following
	invites map[[32]byte]*trust.Invite
	devices map[string]trust.Device
	// Err, where set, comes out of every call.
	Err error
}

func (s *Store) AddInvite(i trust.Invite) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.invites == nil {
		s.invites = map[[32]byte]*trust.Invite{}
	}
	s.invites[i.Hash] = &i
	return s.Err
}

func (s *Store) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.invites[hash]
	switch {
	case s.Err != nil:
		return trust.Invite{}, s.Err
	case !ok:
		return trust.Invite{}, trust.ErrUnknownCode
	case i.Withdrawn:
		return trust.Invite{}, trust.ErrWithdrawn
	case !i.Used.IsZero():
		return trust.Invite{}, trust.ErrUsed
	case now.After(i.Expires):
		return trust.Invite{}, trust.ErrExpired
	}
	i.Used = now
	return *i, nil
}

func (s *Store) Invites() (all []trust.Invite, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.invites {
		all = append(all, *i)
	}
	return all, s.Err
}

func (s *Store) WithdrawInvite(hash [32]byte, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.invites[hash]
	switch {
	case s.Err != nil:
		return s.Err
	case !ok:
		return trust.ErrUnknownCode
	case !i.Used.IsZero():
		return trust.ErrUsed
	}
	i.Used, i.Withdrawn = now, true
	return nil
}

func (s *Store) PutDevice(d trust.Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.devices == nil {
		s.devices = map[string]trust.Device{}
	}
	s.devices[d.Name] = d
	return s.Err
}

func (s *Store) Device(name string) (trust.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[name]
	if !ok && s.Err == nil {
		return d, fmt.Errorf("%w: %s", trust.ErrUnknown, name)
	}
	return d, s.Err
}

func (s *Store) Devices() (all []trust.Device, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		all = append(all, d)
	}
	return all, s.Err
}

func (s *Store) RevokeDevice(name string) error {
	d, err := s.Device(name)
	if err != nil {
		return err
	}
	d.Revoked = true
	return s.PutDevice(d)
}

// Forget removes the record of a device.
func (s *Store) Forget(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.devices, name)
	return s.Err
}
