package storage

import (
	"fmt"
	"sync"
)

const (
	epochKey = "epochs reserved"
	// epochBlock numbers are reserved at a time, so that few connections wait for
	// a sync; a restart leaves the rest of a block out.
	epochBlock = 64
	// maxEpoch leaves room above whatever a cloud accepts (RaiseEpoch).
	maxEpoch = 3 << 62
)

// epochs numbers connections.
type epochs struct {
	mu       sync.Mutex // guards all following, through the commit
	next     uint64     // to be given out
	reserved uint64     // numbers below it are surely in the file as used
}

func (db *DB) loadEpochs() error {
	var last uint64
	if _, err := db.value(epochKey, &last); err != nil {
		return err
	}
	// A file whose newest meta page went bad is one commit behind.
	db.epochs.next = last + epochBlock
	db.epochs.reserved = db.epochs.next
	return nil
}

// NextEpoch returns a number higher than all before, also than those of a
// process that lost its power. One in 64 calls waits for a commit; its error
// means that no number was given out.
func (db *DB) NextEpoch() (uint64, error) {
	e := &db.epochs
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next >= e.reserved {
		if err := db.reserve(e.next + epochBlock); err != nil {
			return 0, err
		}
	}
	e.next++
	return e.next - 1, nil
}

// JumpEpoch makes NextEpoch return more than past. It returns ErrEpoch for a
// past so high that there would soon be no numbers left.
func (db *DB) JumpEpoch(past uint64) error {
	db.epochs.mu.Lock()
	defer db.epochs.mu.Unlock()
	if past < db.epochs.next {
		return nil
	}
	return db.countFrom(past)
}

// ResetEpoch makes NextEpoch return past+1, also where that is lower than before:
// the cloud that counts the connections has confirmed none above past, and refuses
// this board's numbers as out of reach. It returns ErrEpoch as JumpEpoch does.
func (db *DB) ResetEpoch(past uint64) error {
	db.epochs.mu.Lock()
	defer db.epochs.mu.Unlock()
	return db.countFrom(past)
}

// countFrom makes past+1 the next number; the mu of epochs is held.
func (db *DB) countFrom(past uint64) error {
	e := &db.epochs
	if past >= maxEpoch {
		return fmt.Errorf("%w: the cloud has seen %d of this board, and there are few above: have the cloud's operator run `skerry cloud invite`, then `skerry enroll CODE` here", ErrEpoch, past)
	}
	if past+1 >= e.reserved || past+1 < e.next {
		if err := db.reserve(past + 1 + epochBlock); err != nil {
			return err
		}
	}
	e.next = past + 1
	return nil
}

func (db *DB) reserve(limit uint64) error {
	if err := db.keep(Change{valueBucket, epochKey, seal(epochKey, limit)}); err != nil {
		return fmt.Errorf("reserve connection numbers: %w", err)
	}
	db.epochs.reserved = limit
	return nil
}
