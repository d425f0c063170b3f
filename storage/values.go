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
func (s *store) value(key string, v any) (bool, error) {
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
	_, err := db.put(true, change{valueBucket, timeKey, seal(timeKey, utc(t))})
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
	return db.keep(change{valueBucket, enrolmentKey, seal(enrolmentKey, data)})
}

// Enrolment returns what PutEnrolment kept, nil when the board is not enrolled.
func (db *DB) Enrolment() (data []byte, err error) {
	_, err = db.value(enrolmentKey, &data)
	return data, err
}

// ForgetEnrolment undoes PutEnrolment.
func (db *DB) ForgetEnrolment() error {
	return db.keep(change{valueBucket, enrolmentKey, nil})
}

// monthly is what a metered link has carried in a month.
type monthly struct {
	Month    string `cbor:"1,keyasint"` // as "2006-01"
	Up, Down uint64 `cbor:",omitempty"`
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
	_, err := db.put(true, change{valueBucket, bytesKey, seal(bytesKey, monthly{month, up, down})})
	return err
}
