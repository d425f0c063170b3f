package storage

import (
	"encoding/binary"
	"fmt"
	"time"
)

// LinkSample is what the link was like at one time.
type LinkSample struct {
	At        time.Time     `cbor:"1,keyasint"`
	State     string        `cbor:"2,keyasint"` // down, poor, fair, good
	Reason    string        `cbor:"3,keyasint,omitempty"`
	RTT       time.Duration `cbor:"4,keyasint,omitempty"` // smoothed
	Deviation time.Duration `cbor:"5,keyasint,omitempty"`
	Loss      float64       `cbor:"6,keyasint,omitempty"` // share of packets, 0 to 1
	Goodput   float64       `cbor:"7,keyasint,omitempty"` // bytes/s up
	Queue     time.Duration `cbor:"8,keyasint,omitempty"` // wait in the cloud
	Up        uint64        `cbor:"9,keyasint,omitempty"` // bytes sent
	Down      uint64        `cbor:"10,keyasint,omitempty"`
}

const (
	linkKeep = 24 * time.Hour
	// linkMost bounds the history whatever the clock does: a sample every 5 s.
	linkMost = 24 * 60 * 60 / 5
)

// linkRing names the records of the history, oldest first.
type linkRing struct {
	keys []linkKey
	next uint64
}

type linkKey struct {
	key string
	at  time.Time
}

func (db *DB) loadLink() error {
	pairs, err := db.scan(linkBucket, "")
	if err != nil {
		return err
	}
	for _, p := range pairs {
		var sample LinkSample
		if err := unseal(p.key, p.value, &sample); err != nil {
			return fmt.Errorf("%s: %w", db.path, err)
		}
		db.links.keys = append(db.links.keys, linkKey{p.key, sample.At})
		db.links.next = binary.BigEndian.Uint64([]byte(p.key))
	}
	return nil
}

// AppendLink adds samples to the history, a day of which is kept. It does not
// wait for the commit, which comes with the next one or within a minute.
func (db *DB) AppendLink(samples []LinkSample) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	var changes []change
	r := &db.links
	for _, s := range samples {
		s.At = utc(s.At)
		r.next++
		key := string(binary.BigEndian.AppendUint64(nil, r.next))
		changes = append(changes, change{linkBucket, key, seal(key, s)})
		r.keys = append(r.keys, linkKey{key, s.At})
	}
	now := time.Now()
	for len(r.keys) > 0 && (len(r.keys) > linkMost || now.Sub(r.keys[0].at) > linkKeep) {
		changes = append(changes, change{linkBucket, r.keys[0].key, nil})
		r.keys = r.keys[1:]
	}
	_, err := db.put(true, changes...)
	return err
}

// LinkHistory returns the samples at since and later, in the order they came.
func (db *DB) LinkHistory(since time.Time) ([]LinkSample, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	pairs, err := db.scan(linkBucket, "")
	if err != nil {
		return nil, err
	}
	var out []LinkSample
	for _, p := range pairs {
		var s LinkSample
		if err := unseal(p.key, p.value, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", db.path, err)
		}
		if !s.At.Before(since) {
			out = append(out, s)
		}
	}
	return out, nil
}
