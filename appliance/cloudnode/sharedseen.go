package cloudnode

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/wire"
)

// What a board says of itself every few minutes its own worker keeps. The others are told of it
// when something of it changes that its operator acts on, and once an hour: nobody follows it, and
// skerry cloud devices reads it.

const (
	seenKind = "seen" // by device
	// seenEvery is after what time a status is told that says nothing new.
	seenEvery = time.Hour
	// mostUntold bounds how many statuses wait for etcd; of more it has to be told later.
	mostUntold = 1 << 14
)

// said is what is told of a status.
type said struct {
	version, mode, health string
	update                wire.Offered
	bundle                wire.Hash
	hour                  int64
}

func saidIn(name string, status []byte, at time.Time) (s said, err error) {
	st, err := wire.DecodeStatus(status)
	if err != nil {
		return s, err
	}
	s = said{version: st.Version, mode: st.Mode, health: st.Health, bundle: st.Bundle, hour: at.Add(seenOffset(name)).Unix() / int64(seenEvery.Seconds())}
	if st.Update != nil {
		s.update = *st.Update
	}
	return s, nil
}

// seenOffset has the hour of each board begin at another time: all would be told of at once else.
func seenOffset(name string) time.Duration {
	h := fnv.New32a()
	io.WriteString(h, name)
	return time.Duration(h.Sum32()) * time.Second % seenEvery
}

// SawDevice is DeviceStore.SawDevice, and has the other workers hear of what is new. It waits for
// nothing.
func (s *sharedStore) SawDevice(name string, status []byte, at time.Time) error {
	if err := s.DeviceStore.SawDevice(name, status, at); err != nil {
		return err
	}
	is, err := saidIn(name, status, at)
	if err != nil {
		return nil // it is shown as it is
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[name] == is || len(s.unseen) >= mostUntold {
		return nil
	}
	s.said[name] = is
	s.unseen[name] = seenRecord{recordVersion, utc(at), status}
	return nil
}

// tellSeen tells the others of the statuses that wait, until etcd does not answer.
func (s *sharedStore) tellSeen(ctx context.Context) {
	s.mu.Lock()
	unseen := s.unseen
	s.unseen = map[string]seenRecord{}
	s.mu.Unlock()
	for name, r := range unseen {
		if err := s.fleet.Set(ctx, seenKind, name, seenBucket.Encode(name, r)); err == nil {
			delete(unseen, name)
		} else if errors.Is(err, fleet.ErrUnavailable) {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range unseen {
		if _, newer := s.unseen[name]; !newer {
			s.unseen[name] = r
		}
	}
}

// shared adds to rows what other workers know of boards: who has each, and the newest status.
func (m *member) shared(ctx context.Context, rows []Device) error {
	owned, err := m.fleet.Owned(ctx)
	if err != nil {
		return err
	}
	all, err := m.fleet.All(ctx, seenKind)
	if err != nil {
		return err
	}
	seen := make(map[string]seenRecord, len(all))
	for _, r := range all {
		if s, err := seenBucket.Decode(r.Name, r.Value); err == nil {
			seen[r.Name] = s
		}
	}
	for i := range rows {
		r := &rows[i]
		r.Worker = owned[r.Name]
		s, ok := seen[r.Name]
		if !ok || r.Seen != nil && !s.At.After(*r.Seen) {
			continue
		}
		if st, err := wire.DecodeStatus(s.Status); err == nil {
			r.Seen, r.Status = &s.At, newDeviceStatus(st)
		}
	}
	return nil
}
