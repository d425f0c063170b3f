package cloudnode

import (
	"context"
	"errors"

	"skerry/cloudlink/fleet"
)

// PutTicketKeys has all workers seal session tickets with the same keys.
func (s *sharedStore) PutTicketKeys(keys [][32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late(func(ctx context.Context) error {
		revision, err := s.fleet.Put(ctx, fleet.Record{Kind: keysKind, Name: ticketsName, Value: joinKeys(keys), Revision: s.keys})
		if err != nil {
			return err
		}
		s.keys = revision
		return s.DeviceStore.PutTicketKeys(keys)
	})
}

func joinKeys(keys [][32]byte) (b []byte) {
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return b
}

var errKeys = errors.New("no ticket keys")

func splitKeys(b []byte) (keys [][32]byte, err error) {
	if len(b)%32 != 0 || len(b) > 64*32 {
		return nil, errKeys
	}
	for ; len(b) > 0; b = b[32:] {
		keys = append(keys, [32]byte(b))
	}
	return keys, nil
}

func (s *sharedStore) hearKeys(v fleet.Record) error {
	keys, err := splitKeys(v.Value)
	if err != nil || v.Name != ticketsName {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Revision <= s.keys {
		return nil
	}
	s.keys = v.Revision
	return s.DeviceStore.PutTicketKeys(keys)
}

// tellKeys gives all workers the ticket keys of this one where there are none yet, as in an etcd
// that was set up anew.
func (s *sharedStore) tellKeys(all []fleet.Record) {
	there := int64(0)
	for _, v := range all {
		there = max(there, v.Revision)
	}
	s.mu.Lock()
	s.keys = min(s.keys, there)
	s.mu.Unlock()
	keys, err := s.TicketKeys()
	if err == nil && len(all) == 0 && len(keys) > 0 {
		err = s.PutTicketKeys(keys)
	}
	if err != nil && !errors.Is(err, fleet.ErrChanged) {
		s.log.Warn("session ticket keys not shared: boards that move take a round trip more", "err", err)
	}
}
