// Package notify wakes those who wait for a change.
package notify

import "sync"

// Change wakes whoever waits for a change. To miss none, take the channel of
// Next before you look at what may have changed. The zero value is ready to use, and
// its lock is held while no other is taken.
type Change struct {
	mu sync.Mutex
	c  chan struct{} // nil while nobody has asked for it
}

// Next returns a channel that is closed at the next change.
func (a *Change) Next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.c == nil {
		a.c = make(chan struct{})
	}
	return a.c
}

// Announce says that something has changed.
func (a *Change) Announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.c != nil {
		close(a.c)
		a.c = nil
	}
}
