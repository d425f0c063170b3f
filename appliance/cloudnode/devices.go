package cloudnode

import (
	"fmt"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

// deviceRecord is a device in the file.
type deviceRecord struct {
	Version    int       `cbor:"0,keyasint,omitempty"`
	Disclosure string    `cbor:"1,keyasint"` // what it may send: "text", "hidden" or "nothing"
	Key        [32]byte  `cbor:"2,keyasint"` // hash of its public key
	Enrolled   time.Time `cbor:"3,keyasint"`
	Expires    time.Time `cbor:"4,keyasint"`           // its certificate
	Revoked    time.Time `cbor:"5,keyasint,omitempty"` // zero: it was not
}

// seenRecord is the newest status of a device.
type seenRecord struct {
	Version int       `cbor:"0,keyasint,omitempty"`
	At      time.Time `cbor:"1,keyasint"`
	Status  []byte    `cbor:"2,keyasint"`
}

// longestStatus is how much a device may say of itself, in bytes.
const longestStatus = 1 << 10

// Admitted returns what a device may send. The error of one that is not let in says
// what to do there, and wraps partition.ErrRevoked or partition.ErrUnknownDevice.
func (s *DeviceStore) Admitted(name string) (string, error) {
	r, ok, err := deviceBucket.Get(s.Store, name)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", refusal{partition.ErrUnknownDevice, "device " + name + " is not known to this cloud: have its operator run `skerry cloud invite --name " + name + "`, then `skerry enroll CODE` here"}
	case !r.Revoked.IsZero():
		return "", refusal{partition.ErrRevoked, trust.RevokedText(name)}
	}
	return r.Disclosure, nil
}

// SawDevice keeps the newest status of a device, at most 1 KiB. It is written with the next
// commit, or within a minute.
func (s *DeviceStore) SawDevice(name string, status []byte, at time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(status) > longestStatus {
		return fmt.Errorf("device %s: a status of %d bytes, at most %d are kept", name, len(status), longestStatus)
	}
	return s.WriteLazily(seenBucket.Put(name, seenRecord{recordVersion, utc(at), status}))
}

// PutDevice keeps a device's enrolment. A revoked one comes back only by an enrolment later
// than that; the error of another wraps trust.ErrRevoked. With another key the device is
// another board, whose connection numbers begin anew: the caller refuses the former key,
// also to connections that resume.
func (s *DeviceStore) PutDevice(d trust.Device) error {
	if err := checkName(d.Name); err != nil {
		return err
	}
	return s.changeDevice(d.Name, func(r *deviceRecord, _ bool) error {
		if !r.Revoked.IsZero() && !d.Enrolled.After(r.Revoked) {
			return fmt.Errorf("device %s: %w", d.Name, trust.ErrRevoked)
		}
		*r = deviceRecord{recordVersion, string(d.Disclosure), d.Key, utc(d.Enrolled), utc(d.Expires), time.Time{}}
		return nil
	})
}

// RevokeDevice bars a device. An error wraps trust.ErrUnknown; to revoke twice is none.
func (s *DeviceStore) RevokeDevice(name string) error {
	return s.changeDevice(name, func(r *deviceRecord, known bool) error {
		if !known {
			return unknown(name)
		}
		if r.Version = recordVersion; r.Revoked.IsZero() {
			r.Revoked = utc(time.Now())
		}
		return nil
	})
}

func unknown(name string) error {
	return fmt.Errorf("%w %s (`skerry cloud devices` lists those enrolled)", trust.ErrUnknown, name)
}

// changeDevice hands f the device's record, an empty one when it is not known, and returns
// when what f makes of it is in the file.
func (s *DeviceStore) changeDevice(name string, f func(r *deviceRecord, known bool) error) error {
	n, err := func() (uint64, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r, known, err := deviceBucket.Get(s.Store, name)
		if err != nil {
			return 0, err
		}
		former := r.Key
		if err := f(&r, known); err != nil {
			return 0, err
		}
		changes := []storage.Change{deviceBucket.Put(name, r)}
		if known && r.Key != former {
			changes = append(changes, epochBucket.Delete(name), lineBucket.Delete(name))
		}
		return s.Write(changes...)
	}()
	if err != nil {
		return err
	}
	return s.Await(n)
}

// Device returns a device by its name. An error wraps trust.ErrUnknown.
func (s *DeviceStore) Device(name string) (trust.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok, err := deviceBucket.Get(s.Store, name)
	if err == nil && !ok {
		err = unknown(name)
	}
	if err != nil {
		return trust.Device{}, err
	}
	return s.device(name, r)
}

// Devices are all that were ever enrolled, by name.
func (s *DeviceStore) Devices() (all []trust.Device, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := deviceBucket.All(s.Store, "")
	for _, e := range list {
		d, err := s.device(e.Key, e.Record)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, err
}

// device is a record with what is kept apart from it.
func (s *DeviceStore) device(name string, r deviceRecord) (trust.Device, error) {
	d := trust.Device{
		Name: name, Disclosure: trust.Disclosure(r.Disclosure), Key: r.Key, Revoked: !r.Revoked.IsZero(), Enrolled: r.Enrolled, Expires: r.Expires,
	}
	var err error
	if d.Epoch, _, err = epochBucket.Get(s.Store, name); err != nil {
		return trust.Device{}, err
	}
	last, _, err := seenBucket.Get(s.Store, name)
	d.Seen, d.Status = last.At, last.Status
	return d, err
}

// refusal is a kind of error with a text of its own.
type refusal struct {
	kind error
	text string
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }
