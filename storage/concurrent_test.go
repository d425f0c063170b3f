package storage

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// TestManyAtOnce: appends, commits, compactions and readers of one database.
func TestManyAtOnce(t *testing.T) {
	db := open(t, board(t), Options{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			log, err := db.CreateSession(SessionMeta{ID: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
				return
			}
			for n := range 300 {
				if err := log.Append(n, []int32{int32(i*1000 + n)}); err != nil {
					t.Error(err)
					return
				}
				if got, err := log.Tokens(); err != nil || len(got) != n+1 || got[n] != int32(i*1000+n) {
					t.Errorf("token %d of %d: %v", n, i, err)
					return
				}
				if n%60 == i {
					if err := log.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if err := db.Compact(); err != nil {
				t.Error(err)
			}
			if err := db.Check(); err != nil {
				t.Error(err)
			}
		}
	})
	var mu sync.Mutex
	var numbers []uint64
	for range 4 {
		wg.Go(func() {
			for range 50 {
				n, err := db.NextEpoch()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				numbers = append(numbers, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != 200 {
		t.Error("a number was given out twice")
	}
	must0(t, db.Check(), db.Close())
	db = open(t, db.path, Options{})
	for i := range 6 {
		log, err := db.OpenSession(fmt.Sprint(i))
		must0(t, err)
		if got, err := log.Tokens(); err != nil || len(got) != 300 || got[299] != int32(i*1000+299) {
			t.Errorf("session %d: %d tokens, %v", i, len(got), err)
		}
	}
}

// TestManyOpeners: processes that start together get one file, one after the
// other, whoever makes it.
func TestManyOpeners(t *testing.T) {
	path := board(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := Open(path, Options{LockTimeout: 1 << 40})
			if err != nil {
				t.Error(err)
				return
			}
			_, err = db.CreateSession(SessionMeta{ID: fmt.Sprint(i)})
			if err != nil {
				t.Error(err)
			}
			if err := db.Compact(); err != nil { // puts another file in place
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db := open(t, path, Options{})
	if len(db.Sessions()) != 8 || db.SetAside() != "" {
		t.Fatalf("%d sessions of 8; set aside %q", len(db.Sessions()), db.SetAside())
	}
}
