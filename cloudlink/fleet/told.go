package fleet

import (
	"context"
	"strings"

	etcd "go.etcd.io/etcd/client/v3"
)

const toldPrefix = root + "told/"

// Tell leaves what this worker does now for whoever asks: unlike its record, which decides
// where boards go, nobody is told of it. It goes with the worker's lease.
func (f *Fleet) Tell(ctx context.Context, what []byte) error {
	f.mu.Lock()
	lease := f.lease
	f.mu.Unlock()
	if lease == 0 || len(what) > maxRecord {
		return ErrUnavailable
	}
	ctx, cancel := f.call(ctx)
	defer cancel()
	if _, err := f.etcd.Put(ctx, toldPrefix+f.opt.Self.Address, string(what), etcd.WithLease(lease)); err != nil {
		return unavailable(err)
	}
	return nil
}

// Told is what the workers that live told last, by address.
func (f *Fleet) Told(ctx context.Context) (map[string][]byte, error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	r, err := f.etcd.Get(ctx, toldPrefix, etcd.WithPrefix(), etcd.WithSerializable())
	if err != nil {
		return nil, unavailable(err)
	}
	told := make(map[string][]byte, len(r.Kvs))
	for _, kv := range r.Kvs {
		told[strings.TrimPrefix(string(kv.Key), toldPrefix)] = kv.Value
	}
	return told, nil
}
