package fakestage

import (
	"maps"
	"sync"
	"time"

	"skerry/cloudlink/partition"
)

// Shelf is a partition.Keeper in memory, which outlives a server as files do.
type Shelf struct {
	Deaf bool // it takes no notes, as a disk whose power went

	Mu   sync.Mutex
	Kept map[partition.ContextID]partition.KeptContext
}

// NewShelf returns an empty shelf.
func NewShelf() *Shelf { return &Shelf{Kept: map[partition.ContextID]partition.KeptContext{}} }

// Copied is the Shelf as it is now, for a server that begins where another was killed.
func (s *Shelf) Copied() *Shelf {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return &Shelf{Kept: maps.Clone(s.Kept)}
}

// Keep has a server keep its contexts here.
func (s *Shelf) Keep(c *partition.Config) { c.Keeper = s }

// Save keeps a context.
func (s *Shelf) Save(k *partition.KeptContext) error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Kept[k.ContextID] = *k
	return nil
}

// Note notes what stands of one.
func (s *Shelf) Note(id partition.ContextID, branch uint32, pos int) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if k, ok := s.Kept[id]; ok && branch > k.Branch && !s.Deaf {
		k.Branch, k.Positions = branch, min(k.Positions, pos)
		s.Kept[id] = k
	}
}

// Has reports whether one is there.
func (s *Shelf) Has(id partition.ContextID) bool { return s.Load(id) != nil }

// Load returns one, nil for none.
func (s *Shelf) Load(id partition.ContextID) *partition.KeptContext {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if k, ok := s.Kept[id]; ok {
		return &k
	}
	return nil
}

// Forget deletes one.
func (s *Shelf) Forget(id partition.ContextID) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	delete(s.Kept, id)
}

// ForgetDevice deletes those of a device, of all for "".
func (s *Shelf) ForgetDevice(device string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	maps.DeleteFunc(s.Kept, func(id partition.ContextID, _ partition.KeptContext) bool { return device == "" || id.Device == device })
}

// Expire deletes nothing.
func (s *Shelf) Expire(time.Duration, []partition.ContextID) {}

// Most is more than any test has.
func (s *Shelf) Most() int64 { return 1 << 20 }

// Held is how many contexts are there.
func (s *Shelf) Held() int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return len(s.Kept)
}
