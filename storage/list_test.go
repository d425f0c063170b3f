package storage

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// owned makes summaries of options that are an owner's name and, with a ! behind it, an
// answer that has not ended.
func owned(options []byte) Summary {
	name, open := bytes.CutSuffix(options, []byte("!"))
	s := Summary{Version: 3, Owner: string(name)}
	if open {
		s.Answer = 1
	}
	return s
}

func listed(db *DB, q SessionQuery) (ids []string, c SessionCounts) {
	list, c := db.ListSessions(q)
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids, c
}

// TestListSessions: the newest first, by owner, in pages; the counts are of all pages. The
// list is the same after a restart.
func TestListSessions(t *testing.T) {
	path := board(t)
	opt := Options{Summarize: owned, SummaryVersion: 3}
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, opt)
		for i, owner := range []string{"a", "b", "a!", "a", "b"} {
			log, err := db.CreateSession(SessionMeta{ID: fmt.Sprint(i), Options: []byte(owner)})
			must0(t, err, log.Append(0, []int32{1, 2}))
			time.Sleep(time.Minute)
		}
		log, err := db.OpenSession("1")
		must0(t, err, log.Append(2, []int32{3}))
		for range 2 {
			all, c := listed(db, SessionQuery{Every: true})
			if !slices.Equal(all, []string{"1", "4", "3", "2", "0"}) || c != (SessionCounts{5, 1}) {
				t.Fatalf("%q, %+v", all, c)
			}
			if own, c := listed(db, SessionQuery{Owner: "a"}); !slices.Equal(own, []string{"3", "2", "0"}) || c != (SessionCounts{3, 1}) {
				t.Fatalf("of a: %q, %+v", own, c)
			}
			if none, c := listed(db, SessionQuery{Owner: "c"}); none != nil || c != (SessionCounts{}) {
				t.Fatalf("of c: %q, %+v", none, c)
			}
			var paged []string
			q := SessionQuery{Every: true, Limit: 2}
			for {
				list, _ := db.ListSessions(q)
				if len(list) == 0 {
					break
				}
				for _, m := range list {
					paged = append(paged, m.ID)
				}
				last := list[len(list)-1]
				q.After, q.AfterID = last.Updated, last.ID
			}
			if !slices.Equal(paged, all) {
				t.Fatalf("in pages: %q", paged)
			}
			must0(t, db.Close())
			db = open(t, path, opt)
		}
		time.Sleep(time.Minute)
		m, err := db.OpenSession("2")
		must0(t, err)
		meta, err := m.Meta()
		meta.Options = []byte("b")
		must0(t, err, m.SetMeta(meta), db.DeleteSession("0"))
		if _, c := listed(db, SessionQuery{Owner: "a"}); c != (SessionCounts{1, 0}) {
			t.Fatalf("of a: %+v", c)
		}
		if all, c := listed(db, SessionQuery{Every: true}); all[0] != "2" || c != (SessionCounts{4, 0}) {
			t.Fatalf("%q, %+v", all, c)
		}
	})
}

// TestSummariesAreNotReadAnew: the summaries lie in the file, and options are summarized
// again only when they change or another version is asked for.
func TestSummariesAreNotReadAnew(t *testing.T) {
	path := board(t)
	made := 0
	opt := Options{SummaryVersion: 3, Summarize: func(options []byte) Summary {
		made++
		return owned(options)
	}}
	db := open(t, path, opt)
	log, err := db.CreateSession(SessionMeta{ID: "a", Options: bytes.Repeat([]byte("x"), 30_000)})
	must0(t, err, log.Append(0, []int32{1}), log.Append(1, []int32{2}), log.Truncate(1), db.Close())
	if made != 1 {
		t.Errorf("%d summaries were made of one record", made)
	}
	db = open(t, path, opt)
	if m, ok := db.Session("a"); !ok || len(m.Summary.Owner) != 30_000 || made != 1 || m.Bytes < 30_000 || m.Options != nil {
		t.Errorf("after a restart: %d made, %d bytes, %v", made, m.Bytes, ok)
	}
	must0(t, db.Close())

	// A program that makes none leaves those that there are, unless it writes options.
	db = open(t, path, Options{})
	log, err = db.OpenSession("a")
	must0(t, err, log.Append(1, []int32{3}))
	if m, _ := db.Session("a"); m.Summary.Version != 3 {
		t.Errorf("an append drops the summary: %+v", m.Summary)
	}
	meta, err := log.Meta()
	meta.Options = []byte("b!")
	must0(t, err, log.SetMeta(meta), db.Close())
	db = open(t, path, opt)
	if m, _ := db.Session("a"); m.Summary.Owner != "b" || m.Summary.Answer != 1 || made != 2 {
		t.Errorf("%+v, %d made", m.Summary, made)
	}
	must0(t, db.Close())
	opt.SummaryVersion = 4
	open(t, path, opt)
	if made != 3 {
		t.Errorf("%d were made after the version changed, want 3", made)
	}
}

// TestOptionsOfBefore: a program of before kept the options in the session's record, and
// knows no others; nothing of either is lost when the two take turns.
func TestOptionsOfBefore(t *testing.T) {
	path := board(t)
	old := func(change func(*sessionRecord)) {
		db := open(t, path, Options{})
		var r sessionRecord
		value, err := db.get(sessionBucket, "a")
		must0(t, err, unseal("a", value, &r))
		r.Version, r.OptionsBytes, r.Summary = 0, 0, Summary{}
		change(&r)
		must0(t, db.keep(recordOf(r)), db.Close())
	}
	options := func() string {
		db := open(t, path, Options{Summarize: owned, SummaryVersion: 3})
		log, err := db.OpenSession("a")
		must0(t, err)
		meta, err := log.Meta()
		must0(t, err)
		if string(meta.Options) != meta.Summary.Owner {
			t.Errorf("options %q, summary %+v", meta.Options, meta.Summary)
		}
		must0(t, log.Append(meta.Position, []int32{7}), db.Check(), db.Close())
		return string(meta.Options)
	}
	db := open(t, path, Options{})
	_, err := db.CreateSession(SessionMeta{ID: "a", Options: []byte("new")})
	must0(t, err, db.Close())
	old(func(*sessionRecord) {}) // it appends a token
	if got := options(); got != "new" {
		t.Errorf("after an append by the program of before: %q", got)
	}
	old(func(r *sessionRecord) { r.Options = []byte("old") })
	for range 2 {
		if got := options(); got != "old" {
			t.Errorf("after options by the program of before: %q", got)
		}
	}
	db = open(t, path, Options{})
	must0(t, db.keep(Change{sessionBucket, "a", nil}), db.Close()) // it deletes the session
	db = open(t, path, Options{})
	if left, err := db.scan(optionsBucket, ""); err != nil || len(left) != 0 {
		t.Errorf("%d options without a session, %v", len(left), err)
	}
}

func recordOf(r sessionRecord) Change { return Change{sessionBucket, "a", seal("a", r)} }

// TestHiddenRecords: a page that says it has fewer records than it has hides the others,
// which no checksum tells.
func TestHiddenRecords(t *testing.T) {
	file, want := filled(t)
	for at := 2 * pageSize; at < len(file); at += pageSize {
		p := parsePage(file[at : at+pageSize])
		if p.flags != flagLeaf || p.count < 2 {
			continue
		}
		bad := slices.Clone(file)
		bad[at+10]--
		if got, aside := opens(t, bad); !aside && !same(got, want) {
			t.Errorf("page %d with %d records of %d: %d sessions are left", p.id, p.count-1, p.count, len(got))
		}
	}
}
