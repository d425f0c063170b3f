package batch

import (
	"log/slog"
	"slices"
	"time"

	"skerry/appliance/decode"
)

// Files are KV caches on disk that are not found by what they begin with but by a key, kept
// as the cache of prefixes keeps its own: in so many bytes, the least recently used go first,
// a damaged one is deleted. They have a directory of their own.
type Files struct {
	cache  *cache
	opened time.Time
}

// FileKey names a file.
type FileKey [8]int32

// OpenFiles reads what is in opt.Dir, and makes that if need be. Files whose owners opt.Known
// does not know are deleted.
func OpenFiles(opt Cache, log *slog.Logger) (*Files, error) {
	opt.Least = 1
	c, err := openCache(opt, false, log)
	if err != nil {
		return nil, err
	}
	return &Files{c, time.Now()}, nil
}

// Store writes a file in place of the one with its key. One larger than half of what all may
// have is left out.
func (f *Files) Store(key FileKey, owners []string, parts ...[]byte) error {
	w := &claim{key[:], owners}
	f.cache.mu.Lock()
	f.cache.writing = append(f.cache.writing, w)
	f.cache.mu.Unlock()
	return f.cache.store(w, decode.State{Tokens: key[:], KV: parts})
}

// Name is the name of the file with the key.
func (f *Files) Name(key FileKey) string {
	return f.cache.name(entryHead{bundle: f.cache.opt.Bundle, tokens: key[:]})
}

// Has reports whether there is a file with the key.
func (f *Files) Has(key FileKey) bool {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	return f.cache.entries[f.Name(key)] != nil
}

// Load reads the file with the key, nil where there is none that is whole.
func (f *Files) Load(key FileKey) (parts [][]byte) {
	if !f.Has(key) {
		return nil
	}
	st, err := f.cache.load(f.Name(key))
	if err != nil || !slices.Equal(st.Tokens, key[:]) {
		return nil // it is logged and gone
	}
	return st.KV
}

// Remove deletes the file with the key.
func (f *Files) Remove(key FileKey) { f.cache.remove(f.Name(key)) }

// Forget deletes the files of an owner, those too that are being written.
func (f *Files) Forget(owner string) { f.cache.forgetSession(owner) }

// Clear deletes all files, those too that are being written.
func (f *Files) Clear() {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.writing) > 0 {
		c.written.Wait()
	}
	for name := range c.entries {
		c.removeLocked(name)
	}
}

// Expire deletes the files that were not used in so long, but for those whose names are in
// use. Time begins when the directory is opened.
func (f *Files) Expire(unused time.Duration, inUse map[string]bool) {
	before := time.Now().Add(-unused)
	if f.opened.After(before) {
		return
	}
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, e := range c.entries {
		if e.used.Before(before) && !inUse[name] {
			c.removeLocked(name)
		}
	}
}

// Most is how many bytes a file may have.
func (f *Files) Most() int64 { return f.cache.opt.Bytes / 2 }

// Size is what all files take, and how many they are.
func (f *Files) Size() (bytes int64, files int) { return f.cache.size() }
