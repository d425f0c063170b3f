package storage

import (
	"fmt"
	"time"
)

const (
	timeKey      = "time"
	enrolmentKey = "enrolment"
)

// value reads a small value; false when there is none.
func (s *Store) value(key string, v any) (bool, error) {
	data, err := s.get(valueBucket, key)
	if err != nil || data == nil {
		return false, err
	}
	if err := unseal(key, data, v); err != nil {
		return false, fmt.Errorf("%s: %w", s.path, err)
	}
	return true, nil
}

// SaveTime notes that it is t now, for a board without a battery clock. It is
// written with the next commit, or within a minute.
func (db *DB) SaveTime(t time.Time) error {
	_, err := db.put(true, Change{valueBucket, timeKey, seal(timeKey, utc(t))})
	return err
}

// LastTime returns the newest time that was saved, the zero time when none was.
func (db *DB) LastTime() (t time.Time, err error) {
	_, err = db.value(timeKey, &t)
	return t, err
}

// PutEnrolment keeps what the enrolment gave, at most 1 MB, and returns when it
// is in the file. The device's key belongs outside of it.
func (db *DB) PutEnrolment(data []byte) error {
	if len(data) > 1<<20 {
		return fmt.Errorf("enrolment of %d bytes: at most 1 MB is kept", len(data))
	}
	return db.keep(Change{valueBucket, enrolmentKey, seal(enrolmentKey, data)})
}

// Enrolment returns what PutEnrolment kept, nil when the board is not enrolled.
func (db *DB) Enrolment() (data []byte, err error) {
	_, err = db.value(enrolmentKey, &data)
	return data, err
}

// ForgetEnrolment undoes PutEnrolment.
func (db *DB) ForgetEnrolment() error {
	return db.keep(Change{valueBucket, enrolmentKey, nil})
}

// monthly is what a metered link has carried in a month.
type monthly struct {
	Version int    `cbor:"0,keyasint,omitempty"` // 1; 0 had the same fields
	Month   string `cbor:"1,keyasint"`           // as "2006-01"
	Up      uint64 `cbor:"Up,omitempty"`
	Down    uint64 `cbor:"Down,omitempty"`
}

const bytesKey = "bytes"

// LoadBytes returns the month whose bytes are kept, as "2006-01", and what a
// metered link has carried up and down in it; "" when nothing is kept.
func (db *DB) LoadBytes() (month string, up, down uint64, err error) {
	var m monthly
	_, err = db.value(bytesKey, &m)
	return m.Month, m.Up, m.Down, err
}

// SaveBytes keeps the bytes of a month. They are written with the next commit, or
// within a minute.
func (db *DB) SaveBytes(month string, up, down uint64) error {
	_, err := db.put(true, Change{valueBucket, bytesKey, seal(bytesKey, monthly{Version: 1, Month: month, Up: up, Down: down})})
	return err
}

const addressKey = "cloud address"

// SaveAddress notes where the cloud answered last, host:port. It is written with
// the next commit, or within a minute.
func (db *DB) SaveAddress(addr string) error {
	if len(addr) > 512 {
		return fmt.Errorf("address of %d bytes: at most 512 are kept", len(addr))
	}
	_, err := db.put(true, Change{valueBucket, addressKey, seal(addressKey, addr)})
	return err
}

// LastAddress returns what SaveAddress noted, "" when nothing was.
func (db *DB) LastAddress() (addr string, err error) {
	_, err = db.value(addressKey, &addr)
	return addr, err
}
