package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/node"
	"skerry/appliance/server"
	"skerry/storage"
)

// oldState is a state directory with a copy of the database that the version wrote which
// storage/testdata/make.sh names. cloudnode has the test of a cloud's.
func oldState(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	b, err := os.ReadFile("../storage/testdata/board.db")
	if err == nil {
		err = os.WriteFile(config.DatabasePath(dir), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// openOld opens the board's, whose sessions are older than those of any user.
func openOld(t *testing.T, dir string) *storage.DB {
	t.Helper()
	db, err := storage.Open(config.DatabasePath(dir), node.DatabaseOptions(storage.Options{KeepFor: 1e6 * time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if aside := db.SetAside(); aside != "" {
		t.Fatalf("it is taken for damaged and lies at %s", aside)
	}
	return db
}

// oldSession is what must be found of a session.
type oldSession struct {
	tokens, answer   int
	finish           string
	roles            string // of the messages, by their first letters
	mode, owner, ask string // ask: the client of the request, where the daemon was asked
	calls            []string
}

var oldSessions = map[string]oldSession{
	"run-whole":       {368, 348, "length", "uaua", "standalone", "", "", nil},
	"run-undelivered": {84, 44, "length", "ua", "standalone", "", "", nil},
	"run-cut":         {43, 43, "", "u", "standalone", "", "", nil},
	"laptop-1":        {105, 85, "length", "sua", "collaborative", "laptop", "laptop", nil},
	"laptop-2":        {68, 48, "length", "ua", "collaborative", "laptop", "laptop", nil},
	"phone-1":         {346, 46, "length", "ua", "collaborative", "phone", "phone", nil},
	"old-form":        {53, 43, "length", "ua", "collaborative", "", "phone", nil},
	"local-tools":     {502, 482, "length", "uatua", "collaborative", "this machine", "local", []string{`lamp{"on":true}`}},
	"local-called":    {512, 341, "stop", "ua", "collaborative", "this machine", "local", []string{`lamp{"on":false}`, `lamp{"on":false}`}},
	"local-cut":       {138, 47, "", "u", "collaborative", "this machine", "local", nil},
}

func describe(r server.Record, tokens []int32) oldSession {
	s := oldSession{tokens: len(tokens), answer: r.Answer, finish: string(r.Finish), mode: string(r.Options.Mode), owner: r.Owner}
	for _, m := range r.Messages {
		s.roles += m.Role[:1]
		for _, c := range m.ToolCalls {
			s.calls = append(s.calls, c.Name+string(c.Arguments))
		}
	}
	if r.Request != nil {
		s.ask = r.Request.Client
	}
	return s
}

// recordsOf are the sessions' records as they are in the database, and their tokens.
func recordsOf(t *testing.T, db *storage.DB) (records map[string]string) {
	t.Helper()
	records = map[string]string{}
	for _, m := range db.Sessions() {
		log, err := node.Journal{DB: db}.Open(m.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		r, err := log.Record()
		tokens, terr := log.Tokens()
		text, jerr := json.Marshal(r)
		if err := errors.Join(err, terr, jerr); err != nil {
			t.Fatalf("%s: %v", m.ID, err)
		}
		records[m.ID] = fmt.Sprint(string(text), tokens)
		if want := oldSessions[m.ID]; !reflect.DeepEqual(describe(r, tokens), want) {
			t.Errorf("%s: %+v, want %+v", m.ID, describe(r, tokens), want)
		}
		if m.ID == "laptop-2" && (r.Messages[0].Content != "Grüße, 世界" || r.Options.Sampling.Seed != 4 || r.Options.MaxTokens != 20 || r.Options.Sampling.TopK != 40 || len(r.Options.Thresholds) != 1 || r.Options.OnLoss != "alone" || r.Created.IsZero() || r.ID == "" || r.Bundle == "") {
			t.Errorf("%s: %+v", m.ID, r)
		}
		if m.ID == "local-called" && (len(r.Request.Tools) != 1 || r.Request.ToolChoice != "required" || r.Options.Sampling.Grammar == "") {
			t.Errorf("%s: %+v", m.ID, r.Request)
		}
	}
	return records
}

// TestOldBoardDatabase: a database of before opens, and everything is found in it: at
// once, after something was written, and after a compaction.
func TestOldBoardDatabase(t *testing.T) {
	dir := oldState(t)
	var first map[string]string
	for _, after := range []string{"opening", "a write", "a compaction"} {
		db := openOld(t, dir)
		got := recordsOf(t, db)
		if len(got) != len(oldSessions) {
			t.Errorf("after %s there are %d sessions, want %d", after, len(got), len(oldSessions))
		}
		if first == nil {
			first = got
		}
		for id := range oldSessions {
			if got[id] != first[id] {
				t.Errorf("after %s session %s is\n%s\nand was\n%s", after, id, got[id], first[id])
			}
		}
		if minutes, err := node.LinkMinutes(db, time.Time{}); err != nil || len(minutes) != 3 || minutes[0].Worst != "down" || minutes[2].Worst != "good" || minutes[2].RTT == 0 {
			t.Errorf("after %s: minutes of the link: %+v, %v", after, minutes, err)
		}
		if month, up, down, err := db.LoadBytes(); month != "2026-11" || up != 375738 || down != 38162 || err != nil {
			t.Errorf("after %s: bytes of the month: %s %d %d %v", after, month, up, down, err)
		}
		if last, err := db.LastTime(); err != nil || last.Year() != 2026 {
			t.Errorf("after %s: the last time is %v, %v", after, last, err)
		}
		switch after {
		case "opening":
			if n, err := db.NextEpoch(); n < 128 || err != nil {
				t.Errorf("the next connection has the number %d, %v", n, err)
			}
			if ticket, err := db.TakeTicket("127.0.0.1:27537"); len(ticket) != 2328 || err != nil {
				t.Errorf("a ticket of %d bytes, %v", len(ticket), err)
			}
			rewrite(t, db)
		case "a write":
			if err := db.Compact(); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(db.Check(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// rewrite writes every session anew, as it is.
func rewrite(t *testing.T, db *storage.DB) {
	t.Helper()
	for i, m := range db.Sessions() {
		log, err := db.OpenSession(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := log.Meta()
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			err = log.SetMeta(meta)
		} else {
			err = errors.Join(log.Append(m.Position, []int32{1}), log.Truncate(m.Position))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldRunSessions: those of skerry run as it finds them itself.
func TestOldRunSessions(t *testing.T) {
	db := openOld(t, oldState(t))
	for id, want := range map[string]struct{ unfinished, undelivered bool }{"run-whole": {}, "run-undelivered": {false, true}, "run-cut": {true, false}} {
		log, err := node.Journal{DB: db}.Open(id, false)
		if err != nil {
			t.Fatal(err)
		}
		r, err := log.Record()
		if s, ok := (node.Journal{DB: db}).Summary(id); !ok || err != nil || s.Unfinished != want.unfinished || r.Undelivered != want.undelivered {
			t.Errorf("%s: unfinished %v, undelivered %v, %v", id, s.Unfinished, r.Undelivered, err)
		}
	}
}
