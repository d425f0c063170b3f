package cloudnode

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/trust"
)

// PutDevice is DeviceStore.PutDevice at all workers.
func (s *sharedStore) PutDevice(d trust.Device) error {
	if err := checkName(d.Name); err != nil {
		return err
	}
	r := deviceRecord{recordVersion, string(d.Disclosure), d.Key, utc(d.Enrolled), utc(d.Expires), time.Time{}}
	err := s.change(context.Background(), deviceKind, d.Name, func(old []byte) ([]byte, error) {
		if old != nil {
			former, err := deviceBucket.Decode(d.Name, old)
			if err != nil {
				return nil, err
			}
			if !former.Revoked.IsZero() && !d.Enrolled.After(former.Revoked) {
				return nil, fmt.Errorf("device %s: %w", d.Name, trust.ErrRevoked)
			}
			if at := former.changed(); !r.Enrolled.Equal(former.Enrolled) && !r.Enrolled.After(at) {
				r.Enrolled = at.Add(time.Millisecond) // by a clock that is behind another worker's
			}
		}
		return deviceBucket.Encode(d.Name, r), nil
	})
	if err != nil {
		return err
	}
	return s.takeDevice(d.Name, r)
}

// RevokeDevice is DeviceStore.RevokeDevice at all workers. This one bars the device also while
// etcd does not answer, and tells the others once it does; the error says so.
func (s *sharedStore) RevokeDevice(name string) error {
	if err := s.DeviceStore.RevokeDevice(name); err != nil {
		return err
	}
	if err := s.pushDevice(context.Background(), name); err != nil {
		s.mu.Lock()
		s.untold[name] = struct{}{}
		s.mu.Unlock()
		s.dropped(name, trust.RevokedText(name))
		return fmt.Errorf("device %s is revoked at this worker, and at the others once they have heard of it: %w", name, err)
	}
	return nil
}

// pushDevice tells all workers what this one knows of a device, if it is newer.
func (s *sharedStore) pushDevice(ctx context.Context, name string) error {
	r, ok, err := deviceBucket.Get(s.Store, name)
	if err != nil || !ok {
		return err
	}
	return s.change(ctx, deviceKind, name, func(old []byte) ([]byte, error) {
		if old != nil {
			there, err := deviceBucket.Decode(name, old)
			if err != nil {
				return nil, err
			}
			if !r.supersedes(there) {
				return old, nil
			}
		}
		return deviceBucket.Encode(name, r), nil
	})
}

// changed is when a device was enrolled or revoked last.
func (r deviceRecord) changed() time.Time {
	if r.Revoked.After(r.Enrolled) {
		return r.Revoked
	}
	return r.Enrolled
}

// supersedes reports whether r is of later than old. The clocks of workers differ: of one
// enrolment what is revoked is the later, whatever the times say.
func (r deviceRecord) supersedes(old deviceRecord) bool {
	if r.Key == old.Key && r.Enrolled.Equal(old.Enrolled) {
		return !r.Revoked.IsZero() && old.Revoked.IsZero()
	}
	return r.changed().After(old.changed())
}

// hearDevice takes what another worker has written of a device, unless this one knows better.
func (s *sharedStore) hearDevice(v fleet.Record) error {
	r, err := deviceBucket.Decode(v.Name, v.Value)
	if err != nil {
		return err
	}
	return s.takeDevice(v.Name, r)
}

// takeDevice makes r what this worker knows of a device, unless it knows better by now, and ends
// the connections of one that is no longer let in.
func (s *sharedStore) takeDevice(name string, r deviceRecord) error {
	if err := checkName(name); err != nil {
		return err
	}
	mine, known, err := deviceBucket.Get(s.Store, name)
	if err != nil || known && bytes.Equal(deviceBucket.Encode(name, mine), deviceBucket.Encode(name, r)) {
		return err
	}
	gone := false
	err = s.changeDevice(name, func(old *deviceRecord, known bool) error {
		if known && old.supersedes(r) {
			return nil
		}
		gone = known && (old.Key != r.Key || old.Revoked.IsZero() && !r.Revoked.IsZero())
		*old = r
		return nil
	})
	if err == nil && gone {
		s.log.Info("another worker has revoked a device, or enrolled it anew", "device", name)
		s.dropped(name, trust.RevokedText(name))
	}
	return err
}

// tellDevices tells all workers of the devices that this one knows newer, or alone.
func (s *sharedStore) tellDevices(all []fleet.Record) {
	there := map[string]deviceRecord{}
	for _, v := range all {
		if r, err := deviceBucket.Decode(v.Name, v.Value); err == nil {
			there[v.Name] = r
		}
	}
	list, err := deviceBucket.All(s.Store, "")
	for _, e := range list {
		if r, ok := there[e.Key]; err == nil && (!ok || e.Record.supersedes(r)) {
			err = s.late(func(ctx context.Context) error { return s.pushDevice(ctx, e.Key) })
		}
	}
	if err != nil {
		s.log.Error("not all devices that this worker knows are known to the others", "err", err)
	}
}

// tellLate tells the others of devices that were revoked while etcd was away, once it is back.
func (s *sharedStore) tellLate(ctx context.Context) {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		names := slices.Collect(maps.Keys(s.untold))
		s.mu.Unlock()
		for _, name := range names {
			if s.pushDevice(ctx, name) != nil {
				break
			}
			s.mu.Lock()
			delete(s.untold, name)
			s.mu.Unlock()
			s.log.Info("the other workers have heard of a device that was revoked here", "device", name)
		}
		s.tellSeen(ctx) // last: there may be many
	}
}
