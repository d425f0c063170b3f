package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"skerry/appliance/decode"
)

const (
	defaultCacheBytes = 256 << 20
	defaultLeast      = 128
	entrySuffix       = ".kv"
)

// cache keeps the KV of prefixes in files, the least recently used of which go
// first. A file's name is of the bundle and the tokens; a damaged one is deleted.
type cache struct {
	opt   Cache
	least int  // positions worth a file
	rows  bool // only entries with hidden states are of use: there is a cloud
	log   *slog.Logger

	disk sync.Mutex // held to write

	mu      sync.Mutex // guards all following
	entries map[string]*entry
	bytes   int64
	writing []*claim
	written *sync.Cond // when there is a claim less
}

// claim is a prefix that is being written.
type claim struct {
	tokens   []int32
	sessions []string
}

// entry is a file; the tokens of another bundle's are left out.
type entry struct {
	sessions []string
	tokens   []int32
	rows     bool
	bytes    int64
	used     time.Time
}

// openCache reads what is in the directory, and makes it if need be.
func openCache(opt Cache, rows bool, log *slog.Logger) (*cache, error) {
	if opt.Bytes == 0 {
		opt.Bytes = defaultCacheBytes
	}
	c := &cache{opt: opt, least: opt.Least, rows: rows, log: log, entries: map[string]*entry{}}
	c.written = sync.NewCond(&c.mu)
	if c.least == 0 {
		c.least = defaultLeast
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache of prefixes: %w", err)
	}
	files, err := os.ReadDir(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("cache of prefixes: %w", err)
	}
	for _, f := range files {
		switch name := f.Name(); {
		case strings.HasPrefix(name, "."): // half written when the power went
			if !opt.Beside {
				os.Remove(filepath.Join(opt.Dir, name))
			}
		case strings.HasSuffix(name, entrySuffix):
			switch err := c.index(name); {
			case errors.Is(err, errOlder):
				c.remove(name)
			case err != nil:
				c.damaged(name, err)
			}
		}
	}
	c.evictUnknown()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrink(0)
	return c, nil
}

// refresh brings the index up to date with what the caches of other models have written to
// the directory, used and deleted since, and keeps all of it within the bound.
func (c *cache) refresh() {
	c.disk.Lock() // so that what is being written is either not there or in the index
	defer c.disk.Unlock()
	files, err := os.ReadDir(c.opt.Dir)
	if err != nil {
		c.log.Warn("the cache of prefixes cannot be looked through", "err", err)
		return
	}
	there := map[string]time.Time{}
	for _, f := range files {
		name := f.Name()
		info, err := f.Info()
		if err != nil || !strings.HasSuffix(name, entrySuffix) || strings.HasPrefix(name, ".") {
			continue
		}
		there[name] = info.ModTime()
		c.mu.Lock()
		known := c.entries[name] != nil
		c.mu.Unlock()
		if known {
			continue
		}
		if err := c.index(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.damaged(name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, e := range c.entries {
		used, ok := there[name]
		switch {
		case !ok: // another's cache has deleted it
			c.bytes -= e.bytes
			delete(c.entries, name)
		case used.After(e.used):
			e.used = used
		}
	}
	c.shrink(0)
}

// index takes a file's head into the index.
func (c *cache) index(name string) error {
	f, err := os.Open(filepath.Join(c.opt.Dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h, _, err := readHead(f, st.Size())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[name] != nil {
		return nil
	}
	e := &entry{sessions: h.sessions, bytes: st.Size(), used: st.ModTime(), rows: h.flags&entryHidden != 0}
	if h.bundle == c.opt.Bundle {
		if name != c.name(h) {
			return errEntry
		}
		e.tokens = h.tokens
	}
	c.entries[name] = e
	c.bytes += e.bytes
	return nil
}

func (c *cache) name(h entryHead) string {
	h.sizes, h.sessions = nil, nil
	sum := sha256.Sum256(h.encode())
	return hex.EncodeToString(sum[:16]) + entrySuffix
}

func (c *cache) damaged(name string, err error) {
	c.log.Warn("a cached prefix is damaged and is deleted: it will be computed again", "file", filepath.Join(c.opt.Dir, name), "err", err)
	c.remove(name)
}

// remove deletes a file.
func (c *cache) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(name)
}

// removeLocked is drop; mu is held.
func (c *cache) removeLocked(name string) {
	if err := os.Remove(filepath.Join(c.opt.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("a cached prefix cannot be deleted", "err", err)
	}
	if e := c.entries[name]; e != nil {
		c.bytes -= e.bytes
		delete(c.entries, name)
	}
}

func (c *cache) size() (bytes int64, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, len(c.entries)
}

// find is the file that holds the longest prefix of a prompt, and its length.
func (c *cache) find(prompt []int32) (name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.entries {
		if m := commonPrefix(e.tokens, prompt); m > n && (e.rows || !c.rows) {
			name, n = k, m
		}
	}
	return name, n
}

// claim says that tokens are worth a file of their own: none holds as much, but
// for a few at the end. The claim holds until unclaim; nil is of tokens not worth it, and
// of text of requests without a session, unless that may be kept.
func (c *cache) claim(tokens []int32, sessions ...string) *claim {
	named := !slices.Contains(sessions, "")
	if len(tokens) < c.least || !named && !c.opt.Unnamed {
		return nil
	}
	if !named {
		sessions = slices.DeleteFunc(sessions, func(s string) bool { return s == "" })
	}
	slices.Sort(sessions)
	sessions = slices.Compact(sessions)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if commonPrefix(e.tokens, tokens) > len(tokens)-worthwhile && (e.rows || !c.rows) {
			return nil
		}
	}
	for _, w := range c.writing {
		if commonPrefix(w.tokens, tokens) > len(tokens)-worthwhile {
			return nil
		}
	}
	w := &claim{tokens, sessions}
	c.writing = append(c.writing, w)
	return w
}

func (c *cache) unclaim(w *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = slices.DeleteFunc(c.writing, func(x *claim) bool { return x == w })
	c.written.Broadcast()
}

// load reads a file. One that is damaged is deleted.
func (c *cache) load(name string) (decode.State, error) {
	path := filepath.Join(c.opt.Dir, name)
	f, err := os.Open(path)
	if err != nil {
		c.remove(name)
		return decode.State{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() > c.opt.Bytes {
		err = errEntry
	}
	var h entryHead
	var st decode.State
	if err == nil {
		h, st, err = readEntry(f, info.Size())
	}
	if err == nil && h.bundle != c.opt.Bundle {
		err = errEntry
	}
	if err != nil {
		c.damaged(name, err)
		return st, err
	}
	now := time.Now()
	os.Chtimes(path, now, now) // how the next process knows what was used
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[name]; e != nil {
		e.used = now
	}
	return st, nil
}

// store writes a claimed state to a file, in place of those that hold less of it. One that
// turns out not to be worth it is left.
func (c *cache) store(w *claim, st decode.State) error {
	defer c.unclaim(w)
	if len(st.Tokens) < c.least { // a head stage lags behind its draft model: less could be kept than was claimed
		return nil
	}
	h := headOf(c.opt.Bundle, w.sessions, st)
	size := int64(len(h.encode())) + int64(h.body())
	name := c.name(h)
	if size > c.opt.Bytes/2 {
		return nil // it would drive out all others
	}
	c.disk.Lock()
	defer c.disk.Unlock()
	c.mu.Lock()
	for k, e := range c.entries {
		if n := len(e.tokens); n > 0 && n <= len(st.Tokens) && commonPrefix(e.tokens, st.Tokens) == n {
			c.removeLocked(k)
		}
	}
	c.shrink(size)
	c.mu.Unlock()
	if err := c.write(name, w.sessions, st); err != nil {
		err = fmt.Errorf("a prefix of %d tokens is not kept: %w", len(st.Tokens), err)
		c.log.Warn("the cache of prefixes cannot be written: prompts are computed again after a restart", "err", err)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[name] = &entry{sessions: w.sessions, tokens: st.Tokens, rows: st.Hidden != nil, bytes: size, used: time.Now()}
	c.bytes += size
	return nil
}

func (c *cache) write(name string, sessions []string, st decode.State) error {
	path := filepath.Join(c.opt.Dir, name)
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(c.opt.Dir), renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := writeEntry(f, c.opt.Bundle, sessions, st); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// shrink deletes the files used least recently until size more bytes fit; mu is
// held.
func (c *cache) shrink(size int64) {
	for c.bytes+size > c.opt.Bytes && len(c.entries) > 0 {
		oldest := ""
		for k, e := range c.entries {
			if oldest == "" || e.used.Before(c.entries[oldest].used) {
				oldest = k
			}
		}
		c.removeLocked(oldest)
	}
}
