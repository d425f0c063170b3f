package node

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/server"
	"skerry/storage"
)

func question(id string, prompt []int32) server.Record {
	return server.Record{
		Bundle: "b", Messages: []infer.Message{{Role: "user", Content: "q"}}, Answer: len(prompt), ID: id,
		Options: decode.Options{Mode: decode.Standalone, MaxTokens: 9, Sampling: infer.Sampling{Seed: 7}}, Request: &infer.Request{Options: infer.Options{Stop: []string{"x"}}},
	}
}

// What the daemon writes down of a session is there after a restart.
func TestDaemonJournal(t *testing.T) {
	dir := t.TempDir()
	db := nodetest.OpenDB(t, dir)
	j := Journal{DB: db}
	if _, err := j.Open("s", false); !errors.Is(err, server.ErrNoSession) {
		t.Errorf("%v", err)
	}
	log, err := j.Open("s", true)
	if err != nil {
		t.Fatal(err)
	}
	first, second := []int32{1, 2, 3}, []int32{1, 2, 3, 40, 5}
	for _, err := range []error{
		log.Begin(question("one", first), first), log.Say(3, 40), log.Say(4, 50), log.Say(4, 50),
		log.Begin(question("two", second), second), log.Say(5, 60),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Say(7, 1); err == nil {
		t.Error("a gap is written")
	}
	r, err := log.Record()
	tokens, err2 := log.Tokens()
	if err != nil || err2 != nil || r.ID != "two" || r.Request.Stop[0] != "x" || !slices.Equal(tokens, []int32{1, 2, 3, 40, 5, 60}) {
		t.Errorf("%+v %v %v %v", r, tokens, err, err2)
	}
	if list, c := j.List(server.Query{}); len(list) != 1 || c.Total != 1 || list[0].ID != "s" || list[0].Tokens != 6 {
		t.Errorf("%+v", list)
	}
	if err := j.Delete("s"); err != nil || len(j.Sessions()) != 0 {
		t.Errorf("%v", err)
	}
	if err := log.Say(6, 1); err == nil {
		t.Error("a deleted session is written to")
	}
}

// A commit that fails is no error of a write: it is kept in memory and tried again.
func TestDaemonJournalOnAFullDisk(t *testing.T) {
	for _, durability := range []string{storage.Auto, storage.Strict} {
		path := config.DatabasePath(nodetest.SmallDisk(t))
		db, err := storage.Open(path, storage.Options{Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		j := Journal{DB: db}
		log, err := j.Open("s", true)
		if err != nil {
			t.Fatal(err)
		}
		mend := nodetest.FillDisk(t, filepath.Dir(path))
		prompt := []int32{1, 2, 3}
		if err := log.Begin(question("one", prompt), prompt); err != nil {
			t.Errorf("%s: %v", durability, err)
		}
		for i := range 2000 {
			if err := log.Say(3+i, int32(i)); err != nil {
				t.Fatalf("%s: token %d: %v", durability, i, err)
			}
		}
		j.Sync()
		if j.Err() == nil {
			t.Errorf("%s: the disk is not full", durability)
		}
		mend()
		if err := errors.Join(j.Sync(), j.Err(), db.Close()); err != nil {
			t.Error(err)
		}
		if db, err = storage.Open(path, storage.Options{}); err != nil {
			t.Fatal(err)
		}
		log, err = Journal{DB: db}.Open("s", false)
		if err != nil {
			t.Fatal(err)
		}
		if tokens, err := log.Tokens(); err != nil || len(tokens) != 2003 {
			t.Errorf("%s: %d tokens, %v", durability, len(tokens), err)
		}
		db.Close()
	}
}

// Between two questions the journal holds no question whose answer is not there, be it that the
// answer was cut or that it was too long to be kept.
func TestNoQuestionWithoutItsAnswer(t *testing.T) {
	question, said := infer.Message{Role: "user", Content: "q"}, infer.Message{Role: "assistant", Content: "a"}
	for _, c := range []struct {
		finish   infer.Finish
		messages []infer.Message
		left     int
	}{
		{"", []infer.Message{question, said, question}, 2},
		{infer.Length, []infer.Message{question, said, question}, 2},
		{infer.Length, []infer.Message{question, said}, 2},
		{infer.Length, nil, 0},
	} {
		db := nodetest.OpenDB(t, t.TempDir())
		log, err := Journal{DB: db}.Open("s", true)
		if err == nil {
			err = log.Begin(server.Record{Messages: c.messages, Answer: 2, Finish: c.finish}, []int32{1, 2})
		}
		if err != nil {
			t.Fatal(err)
		}
		tooLarge := server.Record{Messages: []infer.Message{{Role: "user", Content: strings.Repeat("x", 70<<10)}}}
		if err := log.Begin(tooLarge, []int32{1, 2, 3}); err == nil {
			t.Error("a record of over 64 KB is kept")
		}
		if r, err := log.Record(); err != nil || len(r.Messages) != c.left || r.Finish != infer.Stop || r.Answer != 0 {
			t.Errorf("%q with %d messages: %+v, %v", c.finish, len(c.messages), r, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
