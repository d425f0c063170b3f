package storage

import (
	"fmt"
	"time"
)

// Device is a board that the cloud knows.
type Device struct {
	Name     string
	May      string   // what it may send: "text", "hidden" or "nothing"
	Key      [32]byte // hash of its public key
	Enrolled time.Time
	Expires  time.Time // its certificate
	Revoked  time.Time // zero: it was not
	// Of the following PutDevice writes nothing.
	Epoch  uint64    // highest seen
	Seen   time.Time // when Status came
	Status []byte
}

type deviceRecord struct {
	May      string    `cbor:"1,keyasint"`
	Key      [32]byte  `cbor:"2,keyasint"`
	Enrolled time.Time `cbor:"3,keyasint"`
	Expires  time.Time `cbor:"4,keyasint"`
	Revoked  time.Time `cbor:"5,keyasint,omitempty"`
}

type seenRecord struct {
	At     time.Time `cbor:"1,keyasint"`
	Status []byte    `cbor:"2,keyasint"`
}

const maxStatus = 1 << 10

// record reads the record of a device; false when there is none.
func (s *store) record(bucket, key string, v any) (bool, error) {
	data, err := s.get(bucket, key)
	if err != nil || data == nil {
		return false, err
	}
	if err := unseal(key, data, v); err != nil {
		return false, fmt.Errorf("%s: %w", s.path, err)
	}
	return true, nil
}

// RaiseEpoch records epoch for the device, enrolled or not, when it is above
// the highest seen, and reports the highest. A number raised is in the file
// before RaiseEpoch returns; after an error the connection must be refused.
func (db *CloudDB) RaiseEpoch(device string, epoch uint64) (highest uint64, raised bool, err error) {
	if err := checkName(device, 255); err != nil {
		return 0, false, err
	}
	n, highest, err := db.raise(device, epoch)
	if err != nil || n == 0 {
		return highest, false, err
	}
	if err := db.sync(n); err != nil {
		return highest, false, err
	}
	return highest, true, nil
}

func (db *CloudDB) raise(device string, epoch uint64) (n, highest uint64, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if _, err := db.record(epochBucket, device, &highest); err != nil {
		return 0, 0, err
	}
	if epoch <= highest {
		return 0, highest, nil
	}
	n, err = db.put(false, change{epochBucket, device, seal(device, epoch)})
	return n, epoch, err
}

// Admitted returns what the device may send. It returns ErrRevoked, or
// ErrNoDevice for one that never enrolled.
func (db *CloudDB) Admitted(device string) (may string, err error) {
	var r deviceRecord
	switch ok, err := db.record(deviceBucket, device, &r); {
	case err != nil:
		return "", err
	case !ok:
		return "", fmt.Errorf("device %s: %w; enrol it", device, ErrNoDevice)
	case !r.Revoked.IsZero():
		return "", fmt.Errorf("device %s: %w", device, ErrRevoked)
	}
	return r.May, nil
}

// SawDevice keeps the newest status of a device, at most 1 KiB. It is written
// with the next commit, or within a minute.
func (db *CloudDB) SawDevice(device string, status []byte, at time.Time) error {
	if err := checkName(device, 255); err != nil {
		return err
	}
	if len(status) > maxStatus {
		return fmt.Errorf("device %s: a status of %d bytes, at most %d are kept", device, len(status), maxStatus)
	}
	_, err := db.put(true, change{seenBucket, device, seal(device, seenRecord{utc(at), status})})
	return err
}

// PutDevice writes a device's enrolment and returns when it is in the file. A
// revoked device comes back only by an enrolment later than that: ErrRevoked.
func (db *CloudDB) PutDevice(d Device) error {
	if err := checkName(d.Name, 255); err != nil {
		return err
	}
	return db.changeDevice(d.Name, func(r *deviceRecord, _ bool) error {
		if !r.Revoked.IsZero() && d.Revoked.IsZero() && !d.Enrolled.After(r.Revoked) {
			return fmt.Errorf("device %s: %w", d.Name, ErrRevoked)
		}
		*r = deviceRecord{d.May, d.Key, utc(d.Enrolled), utc(d.Expires), utc(d.Revoked)}
		return nil
	})
}

// RevokeDevice shuts a device out and returns when that is in the file. It
// returns ErrNoDevice for one that is not known; to revoke twice is no error.
func (db *CloudDB) RevokeDevice(name string) error {
	return db.changeDevice(name, func(r *deviceRecord, known bool) error {
		if !known {
			return fmt.Errorf("device %s: %w; skerry cloud devices lists them", name, ErrNoDevice)
		}
		if r.Revoked.IsZero() {
			r.Revoked = utc(time.Now())
		}
		return nil
	})
}

// changeDevice hands f the device's record, an empty one when it is not known.
func (db *CloudDB) changeDevice(name string, f func(r *deviceRecord, known bool) error) error {
	db.mu.Lock()
	var r deviceRecord
	var n uint64
	known, err := db.record(deviceBucket, name, &r)
	if err == nil {
		err = f(&r, known)
	}
	if err == nil {
		n, err = db.put(false, change{deviceBucket, name, seal(name, r)})
	}
	db.mu.Unlock()
	if err != nil {
		return err
	}
	return db.sync(n)
}

// Device returns one device, or ErrNoDevice.
func (db *CloudDB) Device(name string) (Device, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var r deviceRecord
	ok, err := db.record(deviceBucket, name, &r)
	if err == nil && !ok {
		err = fmt.Errorf("device %s: %w; skerry cloud devices lists them", name, ErrNoDevice)
	}
	if err != nil {
		return Device{}, err
	}
	return db.device(name, r)
}

// Devices lists the devices by name.
func (db *CloudDB) Devices() ([]Device, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	pairs, err := db.scan(deviceBucket, "")
	var out []Device
	for _, p := range pairs {
		var r deviceRecord
		if err := unseal(p.key, p.value, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", db.path, err)
		}
		d, err := db.device(p.key, r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, err
}

func (db *CloudDB) device(name string, r deviceRecord) (Device, error) {
	d := Device{Name: name, May: r.May, Key: r.Key, Enrolled: r.Enrolled, Expires: r.Expires, Revoked: r.Revoked}
	var seen seenRecord
	if _, err := db.record(epochBucket, name, &d.Epoch); err != nil {
		return Device{}, err
	}
	_, err := db.record(seenBucket, name, &seen)
	d.Seen, d.Status = seen.At, seen.Status
	return d, err
}
