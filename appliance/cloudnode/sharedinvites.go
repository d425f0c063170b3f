package cloudnode

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/trust"
)

// AddInvite is DeviceStore.AddInvite at all workers.
func (s *sharedStore) AddInvite(i trust.Invite) error {
	r := inviteRecord{
		Version: recordVersion, Hash: i.Hash, Created: utc(i.Made), Expires: utc(i.Expires), Device: i.Name, Disclosure: string(i.Disclosure),
	}
	err := s.change(context.Background(), inviteKind, hex.EncodeToString(i.Hash[:]), func(old []byte) ([]byte, error) {
		if old != nil {
			return nil, fmt.Errorf("invitation %s: it is there already", i.ID())
		}
		return inviteBucket.Encode(inviteKey(i.Hash), r), nil
	})
	if err != nil {
		return err
	}
	return s.takeInvite(r)
}

// UseInvite is DeviceStore.UseInvite at all workers: one enrolment alone, whichever it comes to.
func (s *sharedStore) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	return s.closeInvite(hash, func(r *inviteRecord) error { return r.use(now) })
}

// WithdrawInvite is DeviceStore.WithdrawInvite at all workers.
func (s *sharedStore) WithdrawInvite(hash [32]byte, now time.Time) error {
	_, err := s.closeInvite(hash, func(r *inviteRecord) error { return r.withdraw(now) })
	return err
}

func (s *sharedStore) closeInvite(hash [32]byte, f func(*inviteRecord) error) (trust.Invite, error) {
	var r inviteRecord
	err := s.change(context.Background(), inviteKind, hex.EncodeToString(hash[:]), func(old []byte) (_ []byte, err error) {
		if old == nil {
			return nil, trust.ErrUnknownCode
		}
		if r, err = inviteBucket.Decode(inviteKey(hash), old); err != nil {
			return nil, err
		}
		if err := f(&r); err != nil {
			return nil, err
		}
		return inviteBucket.Encode(inviteKey(hash), r), nil
	})
	if err != nil {
		return trust.Invite{}, err
	}
	return r.invite(), s.takeInvite(r)
}

func (s *sharedStore) hearInvite(v fleet.Record) error {
	hash, err := hex.DecodeString(v.Name)
	if err != nil {
		return err
	}
	r, err := inviteBucket.Decode(string(hash), v.Value)
	if err != nil {
		return err
	}
	return s.takeInvite(r)
}

func (s *sharedStore) takeInvite(r inviteRecord) error {
	mine, known, err := inviteBucket.Get(s.Store, inviteKey(r.Hash))
	key := inviteKey(r.Hash)
	if err != nil || known && bytes.Equal(inviteBucket.Encode(key, mine), inviteBucket.Encode(key, r)) {
		return err
	}
	return s.Keep(inviteBucket.Put(key, r))
}

// tellInvites tells all workers of the open invitations that this one alone knows, and forgets
// those that are long past.
func (s *sharedStore) tellInvites(all []fleet.Record) {
	there := map[string]bool{}
	for _, v := range all {
		there[v.Name] = true
		r, err := inviteBucket.Decode(v.Name, v.Value)
		if err == nil && time.Since(r.Expires) > inviteKeep {
			s.late(func(ctx context.Context) error {
				_, err := s.fleet.Put(ctx, fleet.Record{Kind: v.Kind, Name: v.Name, Revision: v.Revision})
				return err
			})
		}
	}
	list, err := inviteBucket.All(s.Store, "")
	for _, e := range list {
		r, name := e.Record, hex.EncodeToString(e.Record.Hash[:])
		if err != nil || there[name] || !r.Used.IsZero() || time.Now().After(r.Expires) {
			continue
		}
		err = s.late(func(ctx context.Context) error {
			_, err := s.fleet.Put(ctx, fleet.Record{Kind: inviteKind, Name: name, Value: inviteBucket.Encode(e.Key, r)})
			return err
		})
	}
	if err != nil && !errors.Is(err, fleet.ErrChanged) {
		s.log.Error("not all invitations that this worker knows are known to the others", "err", err)
	}
}
