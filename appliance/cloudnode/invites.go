package cloudnode

import (
	"fmt"
	"time"

	"skerry/cloudlink/trust"
	"skerry/storage"
)

// inviteRecord is an invitation in the file. The code itself is not kept.
type inviteRecord struct {
	Version    int       `cbor:"0,keyasint,omitempty"`
	Hash       [32]byte  `cbor:"1,keyasint"` // of the code
	Created    time.Time `cbor:"2,keyasint"`
	Expires    time.Time `cbor:"3,keyasint"`
	Used       time.Time `cbor:"4,keyasint,omitempty"` // zero: it was not
	Device     string    `cbor:"5,keyasint,omitempty"` // the name it is for, "" for any
	Disclosure string    `cbor:"6,keyasint,omitempty"` // what the device may send
	// Withdrawn says that the operator took it back, at Used: an older program,
	// which does not know this, takes it for used.
	Withdrawn bool `cbor:"7,keyasint,omitempty"`
}

func (r inviteRecord) invite() trust.Invite {
	return trust.Invite{
		Hash: r.Hash, Name: r.Device, Disclosure: trust.Disclosure(r.Disclosure), Made: r.Created, Expires: r.Expires,
		Used: r.Used, Withdrawn: r.Withdrawn,
	}
}

// inviteKeep is how long an invitation that can no longer be used is listed.
const inviteKeep = 30 * 24 * time.Hour

func inviteKey(hash [32]byte) string { return string(hash[:]) }

// AddInvite keeps an invitation. Those long past are forgotten.
func (s *DeviceStore) AddInvite(i trust.Invite) error {
	n, err := func() (uint64, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		old, err := inviteBucket.All(s.Store, "")
		if err != nil {
			return 0, err
		}
		var changes []storage.Change
		for _, o := range old {
			if o.Record.Hash == i.Hash {
				return 0, fmt.Errorf("invitation %s: it is there already", i.ID())
			}
			if i.Made.Sub(o.Record.Expires) > inviteKeep {
				changes = append(changes, inviteBucket.Delete(o.Key))
			}
		}
		r := inviteRecord{
			Version: recordVersion, Hash: i.Hash, Created: utc(i.Made), Expires: utc(i.Expires), Device: i.Name, Disclosure: string(i.Disclosure),
		}
		return s.Write(append(changes, inviteBucket.Put(inviteKey(i.Hash), r))...)
	}()
	if err != nil {
		return err
	}
	return s.Await(n)
}

// UseInvite takes an invitation for the one enrolment it is good for. An error wraps
// trust.ErrUnknownCode, ErrUsed, ErrExpired or ErrWithdrawn. After an error of the commit
// the invitation must count as used.
func (s *DeviceStore) UseInvite(hash [32]byte, now time.Time) (trust.Invite, error) {
	return s.closeInvite(hash, func(r *inviteRecord) error { return r.use(now) })
}

// use marks an invitation as used, or says why nobody can use it.
func (r *inviteRecord) use(now time.Time) error {
	switch {
	case r.Withdrawn:
		return trust.ErrWithdrawn
	case !r.Used.IsZero():
		return trust.ErrUsed
	case !now.Before(r.Expires):
		return trust.ErrExpired
	}
	r.close(now)
	return nil
}

// withdraw marks an invitation as taken back, unless a board has used it.
func (r *inviteRecord) withdraw(now time.Time) error {
	if !r.Used.IsZero() && !r.Withdrawn {
		return trust.ErrUsed
	}
	r.Withdrawn = true
	r.close(now)
	return nil
}

func (r *inviteRecord) close(now time.Time) {
	if r.Used = utc(now); r.Used.IsZero() {
		r.Used = r.Expires // a clock that is off by ages must not leave it unused
	}
	r.Version = recordVersion
}

// WithdrawInvite takes an invitation back that was not used. An error wraps
// trust.ErrUnknownCode or ErrUsed; to withdraw twice is none.
func (s *DeviceStore) WithdrawInvite(hash [32]byte, now time.Time) error {
	_, err := s.closeInvite(hash, func(r *inviteRecord) error { return r.withdraw(now) })
	return err
}

// closeInvite has f mark an invitation as one that nobody can use any more, unless it refuses,
// and returns when that is in the file.
func (s *DeviceStore) closeInvite(hash [32]byte, f func(r *inviteRecord) error) (trust.Invite, error) {
	r, n, err := func() (r inviteRecord, n uint64, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r, ok, err := inviteBucket.Get(s.Store, inviteKey(hash))
		if err == nil && !ok {
			err = trust.ErrUnknownCode
		}
		if err == nil {
			err = f(&r)
		}
		if err != nil {
			return r, 0, err
		}
		n, err = s.Write(inviteBucket.Put(inviteKey(hash), r))
		return r, n, err
	}()
	if err != nil {
		return trust.Invite{}, err
	}
	return r.invite(), s.Await(n)
}

// Invites are all that are kept, used and expired ones of the last month included.
func (s *DeviceStore) Invites() (all []trust.Invite, err error) {
	list, err := inviteBucket.All(s.Store, "")
	for _, e := range list {
		all = append(all, e.Record.invite())
	}
	return all, err
}
