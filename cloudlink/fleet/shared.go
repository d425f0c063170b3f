package fleet

import (
	"context"
	"errors"
	"strings"

	etcd "go.etcd.io/etcd/client/v3"
)

// ErrChanged says that another worker has changed a record meanwhile: read it again.
var ErrChanged = errors.New("the record was changed meanwhile")

// Record is what all workers know, sealed where it lies.
type Record struct {
	Kind, Name string
	Value      []byte // nil: there is none
	Revision   int64  // of its last change; 0: there never was one, as far as is known
}

const sharedPrefix = root + "shared/"

func recordKey(kind, name string) string { return sharedPrefix + kind + "/" + name }

// Get reads a record: one without a value where there is none. An error wraps ErrUnavailable or
// ErrSealed.
func (f *Fleet) Get(ctx context.Context, kind, name string) (Record, error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	key := recordKey(kind, name)
	got, err := f.etcd.Get(ctx, key)
	if err != nil {
		return Record{}, unavailable(err)
	}
	r := Record{Kind: kind, Name: name}
	if len(got.Kvs) == 0 {
		return r, nil
	}
	r.Revision = got.Kvs[0].ModRevision
	r.Value, err = f.sealer.open(key, got.Kvs[0].Value)
	return r, err
}

// All reads the records of a kind.
func (f *Fleet) All(ctx context.Context, kind string) (records []Record, err error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	prefix := recordKey(kind, "")
	got, err := f.etcd.Get(ctx, prefix, etcd.WithPrefix())
	if err != nil {
		return nil, unavailable(err)
	}
	for _, kv := range got.Kvs {
		r, err := f.opened(kind, event{string(kv.Key), nonNil(kv.Value), kv.ModRevision})
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// Put writes a record whose last change is still that of its revision, and deletes it where it
// has no value. It returns the revision of the new one. An error wraps ErrChanged or
// ErrUnavailable; after the latter it may have been written.
func (f *Fleet) Put(ctx context.Context, r Record) (int64, error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	key := recordKey(r.Kind, r.Name)
	op := etcd.OpDelete(key)
	if r.Value != nil {
		op = etcd.OpPut(key, string(f.sealer.seal(key, r.Value)))
	}
	done, err := f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(key), "=", r.Revision)).Then(op).Commit()
	switch {
	case err != nil:
		return 0, unavailable(err)
	case !done.Succeeded:
		return 0, ErrChanged
	}
	return done.Header.Revision, nil
}

// Set writes a record, whatever it was. An error wraps ErrUnavailable; it may have been written then.
func (f *Fleet) Set(ctx context.Context, kind, name string, value []byte) error {
	ctx, cancel := f.call(ctx)
	defer cancel()
	key := recordKey(kind, name)
	if _, err := f.etcd.Put(ctx, key, string(f.sealer.seal(key, value))); err != nil {
		return unavailable(err)
	}
	return nil
}

// Follow hands over all records of a kind and then each that changes, without a value where it
// was deleted, until the fleet is closed; again from the start when etcd was away for long.
// Those that cannot be opened are logged and left out. It returns at once; the fleet waits for
// it when it is closed.
func (f *Fleet) Follow(kind string, whole func([]Record), change func(Record)) {
	open := func(e event) (Record, bool) {
		r, err := f.opened(kind, e)
		if err != nil {
			f.log.Error("a record of the fleet is passed over", "kind", kind, "name", r.Name, "err", err)
		}
		return r, err == nil
	}
	f.wg.Go(func() {
		f.follow(recordKey(kind, ""), func(all []event) {
			records := []Record{}
			for _, e := range all {
				if r, ok := open(e); ok {
					records = append(records, r)
				}
			}
			whole(records)
		}, func(e event) {
			if r, ok := open(e); ok {
				change(r)
			}
		})
	})
}

// opened is a record as etcd has it.
func (f *Fleet) opened(kind string, e event) (Record, error) {
	r := Record{Kind: kind, Name: strings.TrimPrefix(e.key, recordKey(kind, "")), Revision: e.revision}
	if e.value == nil {
		return r, nil
	}
	var err error
	r.Value, err = f.sealer.open(e.key, e.value)
	return r, err
}
