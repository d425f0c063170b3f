package node

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/storage"
)

// keptSessions are a daemon's core over a database with n sessions of 30 kB each.
func keptSessions(t testing.TB, n int) *server.Core {
	t.Helper()
	db, err := storage.Open(filepath.Join(t.TempDir(), "board.db"), storage.Options{Durability: storage.Fast, Summarize: summarize, SummaryVersion: summaryVersion})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		r := server.Record{Finish: "stop", ID: fmt.Sprint("answer-", i), Answer: 1, Owner: fmt.Sprint("key-", i%3), Request: &infer.Request{Client: "phone"}}
		for range 30 {
			r.Messages = append(r.Messages, infer.Message{Role: "user", Content: strings.Repeat("word ", 200)})
		}
		options, err := json.Marshal(r)
		if err == nil {
			_, err = db.CreateSession(storage.SessionMeta{ID: fmt.Sprintf("session-%04d", i), Options: options})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Sync(); err != nil {
		t.Fatal(err)
	}
	core := server.New(server.Options{Loader: noModel{}, Journal: Journal{DB: db}})
	t.Cleanup(func() {
		core.Shutdown(t.Context())
		db.Close()
	})
	return core
}

// A status costs the same with a thousand sessions kept as with twenty, and hardly more
// than with none: no conversation is read for it, and no list made of all.
func TestStatusCostsTheSameWithManySessions(t *testing.T) {
	allocations := map[int]float64{}
	for _, n := range []int{0, status.NewestSessions, 1000} {
		core := keptSessions(t, n)
		allocations[n] = testing.AllocsPerRun(20, func() { core.Snapshot() })
		s := core.Snapshot()
		if s.SessionCount != n || len(s.Sessions) != min(n, status.NewestSessions) || s.SessionStates["idle"] != n {
			t.Errorf("of %d sessions the status counts %d, shows %d, and has %v", n, s.SessionCount, len(s.Sessions), s.SessionStates)
		}
		if n == 1000 {
			own := core.Newest(infer.By{Owner: "key-1"})
			if own.Count != 333 || len(own.Sessions) != status.NewestSessions {
				t.Errorf("a key has %d sessions, and is shown %d", own.Count, len(own.Sessions))
			}
			seen, after := map[string]bool{}, ""
			for {
				l, err := core.List(infer.By{Owner: "key-1"}, after, 100)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range l.Sessions {
					if seen[s.ID] = true; s.Owner != "key-1" || s.Title == "" || s.Bytes < 30_000 {
						t.Fatalf("listed is %+v", s)
					}
				}
				if after = l.Next; after == "" {
					break
				}
			}
			if len(seen) != 333 {
				t.Errorf("the pages have %d sessions of the key", len(seen))
			}
		}
	}
	// The loader, which finds no model and looks again, may add some of its own; a conversation
	// or a list of all would add a thousand.
	if many, few := allocations[1000], allocations[status.NewestSessions]; many > few+100 {
		t.Errorf("a status makes %v allocations with 1000 sessions, and %v with %d", many, few, status.NewestSessions)
	}
	if many, none := allocations[1000], allocations[0]; many > none+200 {
		t.Errorf("a status makes %v allocations with 1000 sessions, and %v with none", many, none)
	}
}

// BenchmarkKeptSessions is what a daemon does with so many sessions of 30 kB kept: idle,
// where it looks at itself every few seconds, and for a page that is open every second.
func BenchmarkKeptSessions(b *testing.B) {
	for _, n := range []int{0, status.NewestSessions, 1000} {
		core := keptSessions(b, n)
		b.Run(fmt.Sprintf("idle/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				core.Snapshot()
			}
		})
		hub := status.NewHub()
		handler := page.New(page.Source{Hub: hub, Status: func() status.Status {
			s := core.Snapshot()
			s.Time = time.Now()
			return s
		}})
		b.Run(fmt.Sprintf("page/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
		hub.Close()
	}
}
