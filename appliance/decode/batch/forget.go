package batch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Forget deletes what a session that is not being answered has left: the positions of its
// slots, and the files of the cache that hold its text.
func (s *Slots) Forget(session string) {
	if session == "" {
		return
	}
	s.prep.Lock()
	defer s.prep.Unlock()
	s.mu.Lock()
	s.recent.forget(session)
	var left []*slot
	for _, sl := range s.slots {
		if !s.closed && !sl.taken && sl.id == session {
			sl.taken = true
			s.batcher.running.Add(1)
			left = append(left, sl)
		}
	}
	s.mu.Unlock()
	for _, sl := range left {
		if err := sl.session.Truncate(0); err != nil {
			s.opt.Log.Warn("a slot still holds a session that was forgotten", "session", session, "err", err)
		}
		s.mu.Lock()
		sl.id = ""
		s.free(sl)
		s.mu.Unlock()
	}
	if s.cache != nil {
		s.cache.forgetSession(session)
	}
}

// Tidy deletes the files of sessions that have expired, and those that are too many with what
// other models' caches have written to the same directory.
func (s *Slots) Tidy() {
	if s.cache != nil {
		s.cache.refresh()
		s.cache.evictUnknown()
	}
}

// forgetSession deletes the files that hold the session's text, those too that are being
// written.
func (c *cache) forgetSession(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for slices.ContainsFunc(c.writing, func(w *claim) bool { return slices.Contains(w.sessions, session) }) {
		c.written.Wait()
	}
	for name, e := range c.entries {
		if slices.Contains(e.sessions, session) {
			c.removeLocked(name)
		}
	}
}

// evictUnknown deletes the files of sessions that there are no more.
func (c *cache) evictUnknown() {
	if c.opt.Known == nil {
		return
	}
	c.mu.Lock()
	gone := map[string]bool{}
	for _, e := range c.entries {
		for _, s := range e.sessions {
			gone[s] = false
		}
	}
	c.mu.Unlock()
	for s := range gone {
		if !c.opt.Known(s) {
			c.forgetSession(s)
		}
	}
}

// ForgetFiles deletes the files below a cache's directory that hold a session's text, or
// that do not say whose they hold. It needs no Slots; those that have the cache open do
// without the files. It returns what could not be deleted.
func ForgetFiles(dir, session string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+entrySuffix))
	for _, path := range paths {
		h, e := headOfFile(path)
		if e == nil && !slices.Contains(h.sessions, session) || errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("a cached prefix: %w", e))
		}
	}
	return err
}

// headOfFile reads the head of a file of the cache.
func headOfFile(path string) (entryHead, error) {
	f, err := os.Open(path)
	if err != nil {
		return entryHead{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return entryHead{}, err
	}
	h, _, err := readHead(f, st.Size())
	return h, err
}
