// Package notify wakes those who wait for a change.
package notify

import "sync"

// Broadcast wakes all who wait for a change. To miss none, take the channel of
// Next before you look at what may have changed. The zero value is ready to use, and
// its lock is held while no other is taken.
type Broadcast struct {
	mu sync.Mutex
	c  chan struct{} // nil while nobody has asked for it
}

// Next returns a channel that is closed at the next change.
func (b *Broadcast) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Announce says that something has changed.
func (b *Broadcast) Announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
