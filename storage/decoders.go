package storage

import (
	"errors"
	"fmt"
	"time"
)

// check decodes a record for nothing but the error.
func check[T any](key string, body []byte) error {
	var v T
	return decode(key, body, &v)
}

// decoders say, by bucket, whether a record can be read. Tokens are most of a
// file and are decoded when they are wanted; their checksum must do before.
var decoders = map[string]func(key string, body []byte) error{
	schemaBucket:  check[schema],
	sessionBucket: checkSession,
	ticketBucket:  check[[]byte],
	linkBucket:    checkLink,
	deviceBucket:  check[deviceRecord],
	epochBucket:   check[uint64],
	seenBucket:    check[seenRecord],
	inviteBucket:  check[Invite],
	valueBucket:   checkValue,
}

func checkSession(key string, body []byte) error {
	var r sessionRecord
	if err := decode(key, body, &r); err != nil {
		return err
	}
	if r.Position < 0 || r.Position > 1<<30 {
		return fmt.Errorf("record %q: %w: position %d", key, ErrDamaged, r.Position)
	}
	return checkName(key, maxSessionID)
}

func checkLink(key string, body []byte) error {
	if len(key) != 8 {
		return fmt.Errorf("record %q: %w: its key is no number", key, ErrDamaged)
	}
	return check[LinkSample](key, body)
}

// checkValue passes over values that only a later version knows.
func checkValue(key string, body []byte) error {
	switch key {
	case timeKey:
		return check[time.Time](key, body)
	case epochKey:
		return check[uint64](key, body)
	case enrolmentKey:
		return check[[]byte](key, body)
	case ticketKeysKey:
		return check[[][32]byte](key, body)
	}
	return nil
}

// checkRecord returns an error with ErrDamaged for a record that is not as it
// was written. Buckets that only a later version knows hold what they may.
func checkRecord(bucket, key string, value []byte) error {
	err := unsound(key, value)
	if f := decoders[bucket]; err == nil && f != nil {
		err = f(key, value[sumBytes:])
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", bucket, err)
	}
	return nil
}
