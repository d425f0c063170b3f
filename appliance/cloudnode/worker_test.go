package cloudnode

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

// aStage says how large it is; nothing is computed in it.
type aStage struct{ partition.Stage }

func (aStage) Width() int     { return 8 }
func (aStage) Vocab() int     { return 8 }
func (aStage) Sequences() int { return 4 }
func (aStage) Context() int   { return 64 }
func (aStage) MaxRows() int   { return 16 }

// A worker tells the others what it serves and does, keeps the boards that have not been away for
// long, and gives up those that have, however many: some at each look.
func TestLooks(t *testing.T) {
	t.Parallel()
	s := sharedBy(t, fleettest.New(t), "a:1", fleet.NewSecret())
	var since atomic.Int64 // a board that never connected here has been away since time began
	bundles := []partition.Bundle{{ID: wire.Hash{1}, Name: "tiny", Stage: aStage{}}}
	server, err := partition.NewServer(partition.Config{Bundles: bundles, Clock: func() time.Time { return time.Time{}.Add(time.Duration(since.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	const boards = releasedAtOnce + 20
	for i := range boards {
		if _, err := s.fleet.Claim(t.Context(), fmt.Sprintf("pi-%03d", i), "", wire.MovesNot); err != nil {
			t.Fatal(err)
		}
	}
	m := &member{fleet: s.fleet, store: s.sharedStore, log: slog.New(slog.DiscardHandler), address: "a:1"}
	look := m.looks(server, bundles, time.Second, time.Hour)
	look(t.Context())
	told, err := s.fleet.Told(t.Context())
	var w Worker
	if err != nil || json.Unmarshal(told["a:1"], &w) != nil || len(w.Bundles) != 1 || w.Bundles[0].Name != "tiny" || w.Claims != boards {
		t.Errorf("%v: it tells %s", err, told)
	}
	if st := s.fleet.Status(); len(st.Workers) != 1 || len(st.Workers[0].Stages) != 1 || st.Workers[0].Stages[0].Name != "tiny" {
		t.Errorf("the others hear %+v", st.Workers)
	}
	since.Store(int64(time.Hour - time.Second))
	if look(t.Context()); len(s.fleet.Claims()) != boards {
		t.Errorf("%d of %d boards are left, none of which was away for long", len(s.fleet.Claims()), boards)
	}
	since.Store(int64(time.Hour))
	if look(t.Context()); len(s.fleet.Claims()) != boards-releasedAtOnce {
		t.Errorf("%d boards are left of %d", len(s.fleet.Claims()), boards)
	}
	m.serving(server, bundles, time.Second, time.Hour) // and goes on by itself
	soon(t, "boards that are away are kept", func() bool { return len(s.fleet.Claims()) == 0 })
	m.stop()
	m.wg.Wait()
	if owned, err := s.fleet.Owned(t.Context()); err != nil || len(owned) != 0 {
		t.Errorf("%v: etcd has %v", err, owned)
	}
	if st := s.fleet.Status(); st.Released != boards {
		t.Errorf("%d were given up of %d", st.Released, boards)
	}
}
