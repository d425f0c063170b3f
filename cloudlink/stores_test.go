package cloudlink_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/partition"
)

// toyStore keeps what a board and a cloud keep, in one file that is written
// anew at every change, or with no path in memory only. It is for tests.
type toyStore struct {
	path    string
	changed notify.Broadcast

	mu   sync.Mutex // guards all following
	Data struct {
		Tickets map[string][][]byte
		Epoch   uint64
		Keys    [][32]byte
		Highest map[string]uint64
		Revoked map[string]bool
	}
}

func openToyStore(dir string) *toyStore {
	s := &toyStore{}
	if dir != "" {
		s.path = filepath.Join(dir, "toy")
		if b, err := os.ReadFile(s.path); err == nil {
			cbor.Unmarshal(b, &s.Data)
		}
	}
	if s.Data.Tickets == nil {
		s.Data.Tickets, s.Data.Highest, s.Data.Revoked = map[string][][]byte{}, map[string]uint64{}, map[string]bool{}
	}
	return s
}

// change runs f and writes the file.
func (s *toyStore) change(f func()) error {
	s.mu.Lock()
	defer s.changed.Announce()
	defer s.mu.Unlock()
	f()
	if s.path == "" {
		return nil
	}
	b, err := cbor.Marshal(s.Data)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(s.path+"~", b, 0o600), os.Rename(s.path+"~", s.path))
}

func (s *toyStore) PutTicket(cloud string, ticket []byte) error {
	return s.change(func() {
		s.Data.Tickets[cloud] = append(s.Data.Tickets[cloud], bytes.Clone(ticket))
	})
}

func (s *toyStore) TakeTicket(cloud string) (ticket []byte, err error) {
	err = s.change(func() {
		if all := s.Data.Tickets[cloud]; len(all) > 0 {
			ticket, s.Data.Tickets[cloud] = all[len(all)-1], all[:len(all)-1]
		}
	})
	return ticket, err
}

func (s *toyStore) tickets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, all := range s.Data.Tickets {
		n += len(all)
	}
	return n
}

func (s *toyStore) NextEpoch() (n uint64, err error) {
	err = s.change(func() {
		s.Data.Epoch++
		n = s.Data.Epoch
	})
	return n, err
}

func (s *toyStore) JumpEpoch(past uint64) error {
	return s.change(func() { s.Data.Epoch = max(s.Data.Epoch, past) })
}

func (s *toyStore) ResetEpoch(past uint64) error {
	return s.change(func() { s.Data.Epoch = past })
}

func (s *toyStore) TicketKeys() ([][32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Data.Keys, nil
}

func (s *toyStore) PutTicketKeys(keys [][32]byte) error {
	return s.change(func() { s.Data.Keys = keys })
}

func (s *toyStore) RaiseEpoch(device string, epoch uint64) (highest uint64, raised bool, err error) {
	s.mu.Lock()
	highest = s.Data.Highest[device]
	s.mu.Unlock()
	if epoch <= highest {
		return highest, false, nil
	}
	return epoch, true, s.change(func() { s.Data.Highest[device] = epoch })
}

func (s *toyStore) Admitted(device string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Data.Revoked[device] {
		return "", partition.ErrRevoked
	}
	return "hidden", nil
}

func (s *toyStore) SawDevice(string, []byte, time.Time) error { return nil }

func (s *toyStore) highest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(0)
	for _, e := range s.Data.Highest {
		n = max(n, e)
	}
	return n
}
