package fleet

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"skerry/cloudlink/fleet/fleettest"
)

// heldKV is an etcd whose first transaction waits until it is let go, and fails then.
type heldKV struct {
	etcd.KV
	first chan struct{} // holds one token: nobody has begun a transaction
	let   chan struct{} // closed to let it go
}

func (k *heldKV) Txn(ctx context.Context) etcd.Txn {
	select {
	case <-k.first:
		return heldTxn{k.KV.Txn(ctx), ctx, k.let}
	default:
		return k.KV.Txn(ctx)
	}
}

type heldTxn struct {
	etcd.Txn
	ctx context.Context
	let chan struct{}
}

func (t heldTxn) If(...etcd.Cmp) etcd.Txn  { return t }
func (t heldTxn) Then(...etcd.Op) etcd.Txn { return t }
func (t heldTxn) Else(...etcd.Op) etcd.Txn { return t }
func (t heldTxn) Commit() (*etcd.TxnResponse, error) {
	select {
	case <-t.let:
	case <-t.ctx.Done():
	}
	return nil, errors.New("this one fails")
}

// watchedBy notes whether a watch is to end where its member of etcd has lost the others.
type watchedBy struct {
	etcd.Watcher
	leader chan bool
}

func (w *watchedBy) Watch(ctx context.Context, _ string, _ ...etcd.OpOption) etcd.WatchChan {
	md, _ := metadata.FromOutgoingContext(ctx)
	w.leader <- len(md.Get(rpctypes.MetadataRequireLeaderKey)) > 0
	none := make(chan etcd.WatchResponse)
	close(none)
	return none
}

// A worker that has lost its lease holds the next one while it claims its boards again, however
// long that takes and though etcd fails meanwhile. What it follows it reads again, and it does not
// listen to a member of etcd that has lost the others.
func TestNewLease(t *testing.T) {
	t.Parallel()
	const late = 2 * time.Minute
	e := fleettest.New(t)
	raw, err := etcd.New(etcd.Config{Endpoints: []string{e.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	kv := &heldKV{KV: raw.KV, first: make(chan struct{}, 1), let: make(chan struct{})}
	kv.first <- struct{}{}
	watched := &watchedBy{leader: make(chan bool, 1)}
	f := &Fleet{
		opt: Options{Self: Worker{Address: "a:1"}, TTL: late, Patience: late}, log: slog.New(slog.DiscardHandler),
		etcd: &etcd.Client{KV: kv, Lease: raw.Lease, Watcher: watched}, self: Worker{Address: "a:1"},
		poke: make(chan struct{}, 1), joined: make(chan struct{}), anew: make(chan struct{}),
		workers: map[string]Worker{}, claims: map[string]int64{},
	}
	f.ctx, f.cancel = context.WithCancel(t.Context())
	defer f.wg.Wait()
	defer f.cancel()
	confirm := func() etcd.LeaseID {
		t.Helper()
		if err := f.confirm(); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.lease
	}
	lost, anew := confirm(), f.anew
	f.mu.Lock()
	f.claims["one"], f.claims["two"] = 1, 1
	f.mu.Unlock()
	if _, err := raw.Revoke(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	lease := confirm()
	if lease == lost || confirm() != lease {
		t.Error("the lease is not held")
	}
	select {
	case <-anew:
	default:
		t.Error("what was followed is not read again")
	}
	close(kv.let)
	for deadline := time.Now().Add(late); ; time.Sleep(5 * time.Millisecond) {
		got, err := raw.Get(t.Context(), claimsPrefix, etcd.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		if got.Count == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d boards of 2 are claimed again", got.Count)
		}
	}
	f.followOnce(workersPrefix, func([]event) {}, func(event) {})
	if !<-watched.leader {
		t.Error("a member of etcd that has lost the others is listened to")
	}
}
