package storage

import (
	"errors"
	"fmt"
)

// Bucket is a table of records of one type by their keys. Whoever uses one defines the
// type: a struct whose fields are named for good in their tags (`cbor:"1,keyasint"`), with
// a version among them, so that what a Go program calls them can change. Times must be
// those of UTC.
type Bucket[V any] struct {
	name  string
	check func(key string, record V) error
}

// NewBucket declares a bucket, to be listed in a Kind. check, which may be nil, finds what
// is wrong with a record beyond its encoding.
func NewBucket[V any](name string, check func(key string, record V) error) Bucket[V] {
	return Bucket[V]{name, check}
}

// Entry is a record with its key.
type Entry[V any] struct {
	Key    string
	Record V
}

// Get returns a record, false where there is none. The error wraps ErrDamaged for one that
// cannot be read.
func (b Bucket[V]) Get(s *Store, key string) (record V, ok bool, err error) {
	data, err := s.get(b.name, key)
	if err != nil || data == nil {
		return record, false, err
	}
	if err := unseal(key, data, &record); err != nil {
		return record, false, fmt.Errorf("%s: %w", s.path, err)
	}
	return record, true, nil
}

// All returns the records whose keys have the prefix, in the order of the keys.
func (b Bucket[V]) All(s *Store, prefix string) ([]Entry[V], error) {
	pairs, err := s.scan(b.name, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]Entry[V], len(pairs))
	for i, p := range pairs {
		out[i].Key = p.key
		if err := unseal(p.key, p.value, &out[i].Record); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	return out, nil
}

// Put is the change that writes a record, for Store.Write.
func (b Bucket[V]) Put(key string, record V) Change {
	return Change{b.name, key, seal(key, record)}
}

// Delete is the change that deletes the record of a key.
func (b Bucket[V]) Delete(key string) Change { return Change{b.name, key, nil} }

// Encode returns the record as CBOR (RFC 8949), as it lies in the file behind a checksum.
func (b Bucket[V]) Encode(key string, record V) []byte { return seal(key, record)[sumBytes:] }

// Decode is the inverse of Encode. Its error wraps ErrDamaged.
func (b Bucket[V]) Decode(key string, body []byte) (record V, err error) {
	err = decode(key, body, &record)
	return record, err
}

func (b Bucket[V]) table() string { return b.name }

func (b Bucket[V]) checkBody(key string, body []byte) error {
	var v V
	if err := decode(key, body, &v); err != nil {
		return err
	}
	if b.check == nil {
		return nil
	}
	return b.check(key, v)
}

// Value is a single record with a name of its own.
type Value[V any] struct{ name string }

// NewValue declares a value, to be listed in a Kind.
func NewValue[V any](name string) Value[V] { return Value[V]{name} }

// Get returns the value, false where there is none.
func (v Value[V]) Get(s *Store) (record V, ok bool, err error) {
	return Bucket[V]{name: valueBucket}.Get(s, v.name)
}

// Put is the change that writes the value, for Store.Write.
func (v Value[V]) Put(record V) Change { return Bucket[V]{name: valueBucket}.Put(v.name, record) }

// Delete is the change that deletes the value.
func (v Value[V]) Delete() Change { return Change{valueBucket, v.name, nil} }

func (v Value[V]) key() string { return v.name }

func (v Value[V]) checkBody(key string, body []byte) error {
	return Bucket[V]{}.checkBody(key, body)
}

// Table is a Bucket.
type Table interface {
	table() string
	checkBody(key string, body []byte) error
}

// Named is a Value.
type Named interface {
	key() string
	checkBody(key string, body []byte) error
}

// Kind is what a database is for: the tables and values in it, whose records are checked
// when it is opened.
type Kind struct {
	Name   string // as "board", for the file and for messages
	Tables []Table
	Values []Named
}

// sealed is a table of records that are read when they are wanted: their checksum must do
// before.
type sealed string

func (t sealed) table() string                  { return string(t) }
func (t sealed) checkBody(string, []byte) error { return nil }

// buckets names the buckets of the file.
func (k Kind) buckets() []string {
	names := []string{schemaBucket, valueBucket}
	for _, t := range k.Tables {
		names = append(names, t.table())
	}
	return names
}

// checker returns a function whose error wraps ErrDamaged for a record that is not as it
// was written. Buckets and values that only a later version knows hold what they may.
func (k Kind) checker() func(bucket, key string, value []byte) error {
	bodies := map[string]func(key string, body []byte) error{schemaBucket: Bucket[schema]{}.checkBody}
	for _, t := range k.Tables {
		bodies[t.table()] = t.checkBody
	}
	values := map[string]func(key string, body []byte) error{}
	for _, v := range k.Values {
		values[v.key()] = v.checkBody
	}
	return func(bucket, key string, value []byte) error {
		err := unsound(key, value)
		check := bodies[bucket]
		if bucket == valueBucket {
			check = values[key]
		}
		if err == nil && check != nil {
			err = check(key, value[sumBytes:])
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", bucket, err)
		}
		return nil
	}
}
