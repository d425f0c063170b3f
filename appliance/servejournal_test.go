package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	ans "skerry/appliance/answer"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/serve"
	"skerry/storage"
)

func question(id string, prompt []int32) serve.Record {
	return serve.Record{
		Bundle: "b", Messages: []ans.Message{{Role: "user", Content: "q"}}, Answer: len(prompt), ID: id,
		Options: decode.Options{Mode: decode.Standalone, MaxTokens: 9, Sampling: engine.Sampling{Seed: 7}}, Request: &ans.Request{Options: ans.Options{Stop: []string{"x"}}},
	}
}

// What the daemon writes down of a session is there after a restart, and skerry run
// can go on with it.
func TestDaemonJournal(t *testing.T) {
	dir := t.TempDir()
	db := openTestDB(t, dir)
	j := daemonJournal{db}
	if _, err := j.Open("s", false); !errors.Is(err, serve.ErrNoSession) {
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
	if list := j.List(); len(list) != 1 || list[0].ID != "s" || list[0].Tokens != 6 || list[0].Record.ID != "two" {
		t.Errorf("%+v", list)
	}
	run := reopened(t, db, "b")
	prompt, o, err := run.resume()
	if err != nil || !run.unfinished() || run.question() != "q" || !slices.Equal(prompt, second) || !slices.Equal(o.Said, []int32{60}) || o.Sampling.Seed != 7 {
		t.Errorf("%v %+v %v", prompt, o, err)
	}
	if _, err := run.linkID(); err != nil {
		t.Error(err)
	}
	if err := j.Delete("s"); err != nil || len(j.List()) != 0 {
		t.Errorf("%v", err)
	}
	if err := log.Say(6, 1); err == nil {
		t.Error("a deleted session is written to")
	}
}

// A commit that fails is no error of a write: it is kept in memory and tried again.
func TestDaemonJournalOnAFullDisk(t *testing.T) {
	for _, durability := range []string{storage.Auto, storage.Strict} {
		path := databasePath(smallDisk(t))
		db, err := storage.Open(path, storage.Options{Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		j := daemonJournal{db}
		log, err := j.Open("s", true)
		if err != nil {
			t.Fatal(err)
		}
		mend := fillDisk(t, filepath.Dir(path))
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
		log, err = daemonJournal{db}.Open("s", false)
		if err != nil {
			t.Fatal(err)
		}
		if tokens, err := log.Tokens(); err != nil || len(tokens) != 2003 {
			t.Errorf("%s: %d tokens, %v", durability, len(tokens), err)
		}
		db.Close()
	}
}

// smallDisk is a directory on a file system of 1 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system can be mounted to be filled: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk takes what is free there, until mend.
func fillDisk(t *testing.T, dir string) (mend func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}
