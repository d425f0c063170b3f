package storage

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Invite is a code for one enrolment. The code itself is not kept.
type Invite struct {
	Hash    [32]byte  `cbor:"1,keyasint"` // of the code
	Created time.Time `cbor:"2,keyasint"`
	Expires time.Time `cbor:"3,keyasint"`
	Used    time.Time `cbor:"4,keyasint,omitempty"` // zero: it was not
	Device  string    `cbor:"5,keyasint,omitempty"` // the name it is for, "" for any
	May     string    `cbor:"6,keyasint,omitempty"` // what the device may send
}

// inviteKeep is how long an invite that can no longer be used is listed.
const inviteKeep = 30 * 24 * time.Hour

func inviteKey(hash [32]byte) string { return string(hash[:]) }

// AddInvite keeps an invite and returns when it is in the file. Invites long
// past are forgotten.
func (db *CloudDB) AddInvite(v Invite) error {
	n, err := db.addInvite(v)
	if err != nil {
		return err
	}
	return db.sync(n)
}

func (db *CloudDB) addInvite(v Invite) (uint64, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	old, err := db.invites()
	if err != nil {
		return 0, err
	}
	key := inviteKey(v.Hash)
	var changes []change
	for _, o := range old {
		if o.Hash == v.Hash {
			return 0, fmt.Errorf("invite %s: it is there already", hex.EncodeToString(v.Hash[:4]))
		}
		if v.Created.Sub(o.Expires) > inviteKeep {
			changes = append(changes, change{inviteBucket, inviteKey(o.Hash), nil})
		}
	}
	v.Created, v.Expires, v.Used = utc(v.Created), utc(v.Expires), utc(v.Used)
	return db.put(false, append(changes, change{inviteBucket, key, seal(key, v)})...)
}

// UseInvite takes an invite for the one enrolment it is good for, and returns
// when that is in the file: ErrNoInvite, ErrUsed, ErrExpired otherwise. After
// an error of the commit the invite must count as used.
func (db *CloudDB) UseInvite(hash [32]byte, now time.Time) (Invite, error) {
	v, n, err := db.useInvite(hash, now)
	if err != nil {
		return Invite{}, err
	}
	return v, db.sync(n)
}

func (db *CloudDB) useInvite(hash [32]byte, now time.Time) (v Invite, n uint64, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	key := inviteKey(hash)
	switch ok, err := db.record(inviteBucket, key, &v); {
	case err != nil:
		return v, 0, err
	case !ok:
		return v, 0, ErrNoInvite
	case !v.Used.IsZero():
		return v, 0, ErrUsed
	case !now.Before(v.Expires):
		return v, 0, ErrExpired
	}
	if v.Used = utc(now); v.Used.IsZero() {
		v.Used = v.Expires // a clock that is off by ages must not leave it unused
	}
	n, err = db.put(false, change{inviteBucket, key, seal(key, v)})
	return v, n, err
}

// Invites lists the invites, used and expired ones of the last month included.
func (db *CloudDB) Invites() ([]Invite, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.invites()
}

func (db *CloudDB) invites() ([]Invite, error) {
	pairs, err := db.scan(inviteBucket, "")
	var out []Invite
	for _, p := range pairs {
		var v Invite
		if err := unseal(p.key, p.value, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", db.path, err)
		}
		out = append(out, v)
	}
	return out, err
}
