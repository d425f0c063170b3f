package node

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/monitor"
	"skerry/storage"
)

const (
	minutesKeep = 24 * time.Hour
	// minutesMost bounds the history whatever the clock does: a day, and as much again
	// for restarts.
	minutesMost = 2 * 24 * 60
)

// minuteBucket has the minutes of the link, by a number of eight bytes, oldest first.
var minuteBucket = storage.NewBucket[monitor.Record](storage.LinkBucket, nil)

// linkMinutes keeps a day of the link's minutes in the board's database.
type linkMinutes struct {
	db *storage.DB
	mu sync.Mutex // held from reading to writing
}

// AppendLink adds minutes. It does not wait for the commit, which comes with the next one
// or within a minute.
func (s *linkMinutes) AppendLink(minutes []monitor.Minute) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, err := minuteBucket.All(s.db.Store, "")
	if err != nil {
		return err
	}
	next := uint64(1)
	if n := len(kept); n > 0 {
		last := kept[n-1].Key
		if len(last) != 8 {
			return fmt.Errorf("minutes of the link: %w: key %q is no number", storage.ErrDamaged, last)
		}
		next = binary.BigEndian.Uint64([]byte(last)) + 1
	}
	var changes []storage.Change
	for i, m := range minutes {
		key := string(binary.BigEndian.AppendUint64(nil, next+uint64(i)))
		r := m.Record()
		changes = append(changes, minuteBucket.Put(key, r))
		kept = append(kept, storage.Entry[monitor.Record]{Key: key, Record: r})
	}
	for now := time.Now(); len(kept) > minutesMost || len(kept) > 0 && now.Sub(kept[0].Record.Start) > minutesKeep; kept = kept[1:] {
		changes = append(changes, minuteBucket.Delete(kept[0].Key))
	}
	return s.db.WriteLazily(changes...)
}

// LinkMinutes returns the link's minutes since and later, in the order in which they came.
func LinkMinutes(db *storage.DB, since time.Time) ([]monitor.Record, error) {
	kept, err := minuteBucket.All(db.Store, "")
	if err != nil {
		return nil, err
	}
	var out []monitor.Record
	for _, e := range kept {
		if !e.Record.Start.Before(since) {
			out = append(out, e.Record)
		}
	}
	return out, nil
}
