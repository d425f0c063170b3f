package storage

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// transientAge is how long a session waits for its client whose answer was
	// cut by the end of the process.
	transientAge = time.Hour
	sweepEvery   = time.Minute
)

// byUse returns the sessions, the least recently used first.
func (db *DB) byUse() []*session {
	return slices.SortedFunc(maps.Values(db.sessions), func(a, b *session) int {
		return cmp.Or(a.used.Compare(b.used), a.Updated.Compare(b.Updated), strings.Compare(a.ID, b.ID))
	})
}

// sweep drops sessions that are too old, and the least recently used while all
// of them take too much. The most recently used stays. The caller holds mu.
func (db *DB) sweep() error {
	now := time.Now()
	if db.bytes <= db.opt.KeepBytes && now.Sub(db.swept).Abs() < sweepEvery {
		return nil
	}
	db.swept = now
	list := db.byUse()
	for i, s := range list {
		age := now.Sub(s.used)
		old := age > db.opt.KeepFor || s.Transient && age > transientAge
		over := db.bytes > db.opt.KeepBytes && i < len(list)-1
		if !old && !over {
			continue
		}
		if err := db.drop(s.ID); err != nil {
			return err
		}
		db.eraseAfter(eraseExpired)
	}
	return nil
}

// drop forgets a session; eraseAfter has its pages erased. The caller holds mu.
func (db *DB) drop(id string) error {
	s := db.sessions[id]
	if s == nil {
		return nil
	}
	changes := []Change{{sessionBucket, id, nil}, {optionsBucket, id, nil}, mark()}
	for n := 0; n*chunkTokens < s.Position; n++ {
		changes = append(changes, Change{tokenBucket, chunkKey(id, n), nil})
	}
	if _, err := db.put(false, changes...); err != nil {
		return err
	}
	db.remove(s)
	return nil
}
