package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

func openTestDB(t *testing.T, dir string) *storage.DB {
	t.Helper()
	db, err := storage.Open(databasePath(dir), storage.Options{Durability: storage.Strict})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// reopened is a session as the next process finds it.
func reopened(t *testing.T, db *storage.DB, bundle string) *journal {
	t.Helper()
	j, err := openJournal(db, "s", bundle, "collaborative", wire.SessionID{9})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func ask(t *testing.T, j *journal, question string, prompt []int32, o decode.Options) (same int) {
	t.Helper()
	same, err := j.common(prompt)
	if err != nil {
		t.Fatal(err)
	}
	messages := append(slices.Clip(j.kept.Messages), engine.Message{Role: "user", Content: question})
	if err := j.begin(messages, prompt, same, 0, o); err != nil {
		t.Fatal(err)
	}
	return same
}

// An answer that was cut goes on with its own options after what was said of it.
func TestJournalResumes(t *testing.T) {
	db := openTestDB(t, t.TempDir())
	j := reopened(t, db, "b")
	if j.unfinished() {
		t.Fatal("a session without a question has an answer that was cut")
	}
	o := decode.Options{Mode: decode.Collaborative, Thresholds: []float64{neverReached}, MaxTokens: 9, Sampling: engine.Sampling{Seed: 3}}
	ask(t, j, "q", []int32{1, 2, 3}, o)
	j.say(3, 40)
	j.say(4, 50)

	j = reopened(t, db, "b")
	if !j.unfinished() || j.question() != "q" {
		t.Fatalf("kept %+v", j.kept)
	}
	prompt, got, err := j.resume()
	if err != nil || !slices.Equal(prompt, []int32{1, 2, 3}) || !slices.Equal(got.Said, []int32{40, 50}) {
		t.Fatalf("prompt %v, said %v, %v", prompt, got.Said, err)
	}
	if got.Said = nil; fmt.Sprint(got) != fmt.Sprint(o) {
		t.Errorf("options %+v, want %+v", got, o)
	}
	// Stopped is not ended, whole is.
	if err := j.finish(decode.FinishCancel, "a"); err != nil || !reopened(t, db, "b").unfinished() {
		t.Errorf("stopped: %v, %+v", err, j.kept)
	}
	if err := j.finish(decode.FinishStop, "answer"); err != nil {
		t.Fatal(err)
	}
	j = reopened(t, db, "b")
	if last := j.kept.Messages[len(j.kept.Messages)-1]; j.unfinished() || last.Role != "assistant" || last.Content != "answer" {
		t.Errorf("kept %+v", j.kept)
	}
}

// The next question keeps the tokens it shares with what was said, and no other.
func TestJournalAsksAgain(t *testing.T) {
	db := openTestDB(t, t.TempDir())
	j := reopened(t, db, "b")
	ask(t, j, "q", []int32{1, 2, 3}, decode.Options{})
	j.say(3, 40)
	j.finish(decode.FinishStop, "a")
	if same := ask(t, j, "r", []int32{1, 2, 3, 41, 5}, decode.Options{}); same != 3 {
		t.Errorf("%d tokens are the same", same)
	}
	tokens, err := j.log.Tokens()
	if err != nil || !slices.Equal(tokens, []int32{1, 2, 3, 41, 5}) {
		t.Errorf("tokens %v, %v", tokens, err)
	}
	// One that is given up is in the conversation as far as it came.
	if err := j.giveUp("half"); err != nil {
		t.Fatal(err)
	}
	var said []string
	j = reopened(t, db, "b")
	for _, m := range j.kept.Messages {
		said = append(said, m.Role+" "+m.Content)
	}
	if got := strings.Join(said, ", "); j.unfinished() || got != "user q, assistant a, user r, assistant half" {
		t.Errorf("%q", got)
	}
}

// Each process leaves out the branches of the one before, and a question that
// takes back what the cloud has names the branch since when it holds.
func TestJournalBranches(t *testing.T) {
	db := openTestDB(t, t.TempDir())
	j := reopened(t, db, "b")
	var first, opt cloudlink.SessionOptions
	if err := j.resumeLink(&first); err != nil || first.Position != 0 || first.ID == (wire.SessionID{}) {
		t.Errorf("a new session resumes at %d, %v", first.Position, err)
	}
	ask(t, j, "q", []int32{1, 2, 3}, decode.Options{})
	if err := j.resumeLink(&opt); err != nil || opt.ID != first.ID || opt.Position != 3 || opt.Branch != 0 {
		t.Errorf("resumes %v at %d on branch %d, %v", opt.ID, opt.Position, opt.Branch, err)
	}
	const after = branchRoom + 7
	if err := j.begin(j.kept.Messages, []int32{1, 9}, 1, after, decode.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := reopened(t, db, "b").resumeLink(&opt); err != nil || opt.Position != 2 || opt.Branch < after {
		t.Errorf("resumes at %d on branch %d, %v", opt.Position, opt.Branch, err)
	}
}

func TestJournalRefuses(t *testing.T) {
	db := openTestDB(t, t.TempDir())
	j := reopened(t, db, "one")
	if _, err := openJournal(db, "s", "another", "", wire.SessionID{}); err == nil || !strings.Contains(err.Error(), "begun with bundle one, this is another") {
		t.Errorf("another bundle: %v", err)
	}
	long := []engine.Message{{Role: "user", Content: strings.Repeat("x", longestKept)}}
	if err := j.begin(long, []int32{1}, 0, 0, decode.Options{}); err == nil || !strings.Contains(err.Error(), "too long to be kept") || j.unfinished() {
		t.Errorf("too long: %v, %+v", err, j.kept.Finish)
	}
	set := func(k kept, junk string) {
		options, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := j.log.Meta()
		if err != nil {
			t.Fatal(err)
		}
		meta.Options = append(options, junk...)
		if err := j.log.SetMeta(meta); err != nil {
			t.Fatal(err)
		}
	}
	// A question that was not written down whole was never asked.
	k := kept{Bundle: "one", Link: "00", Messages: []engine.Message{{Content: "q"}}, Answer: 5}
	set(k, "")
	if r := reopened(t, db, "one"); r.unfinished() || len(r.kept.Messages) != 0 {
		t.Errorf("kept %+v", r.kept)
	} else if _, err := r.linkID(); err == nil || !strings.Contains(err.Error(), "begin another session") {
		t.Errorf("a damaged id: %v", err)
	}
	set(k, "junk")
	if _, err := openJournal(db, "s", "one", "", wire.SessionID{}); err == nil || !strings.Contains(err.Error(), "session s is damaged") {
		t.Errorf("damaged: %v", err)
	}
}

func TestEvents(t *testing.T) {
	var b bytes.Buffer
	e := newEvents(&b)
	e.begin("s", 3, []int32{7})
	e.token(decode.Token{ID: 8, Text: "x"})
	e.end(decode.Answer{Finish: decode.FinishLength, Lost: fmt.Errorf("gone\n for now"), Resumed: 2})
	var got []string
	for line := range strings.Lines(b.String()) {
		var v event
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprint(v.Event, v.Session, v.Prompt, v.Said, v.Index, v.Finish, v.Lost, v.Resumed)
		if v.Token != nil {
			s += v.Token.Text
		}
		got = append(got, s)
	}
	want := []string{"begins3 [7] 10", "token0 [] 10x", "end0 [] 2lengthgone for now2"}
	if len(got) != 3 {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if strings.ReplaceAll(got[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
			t.Errorf("line %d: %q, want %q", i, got[i], want[i])
		}
	}
}

// What will not pass must not look like a lost link, or the board waits for ever.
func TestLasting(t *testing.T) {
	for code, lost := range map[wire.Code]bool{
		wire.CodeUnauthorized: false, wire.CodeProtocol: false, wire.CodeContextFull: false, wire.CodeUnknownBundle: false,
		wire.CodeBusy: true, wire.CodeInternal: true, wire.CodeDraining: true,
	} {
		r := &cloudlink.RemoteError{Code: code, Text: "why", Bundles: []wire.BundleName{{Name: "mine", ID: wire.Hash{0xab}}}}
		err := lasting(fmt.Errorf("%w: %w", cloudlink.ErrLost, r))
		if got := strings.Contains(err.Error(), "why"); !got {
			t.Errorf("%s: %v", code, err)
		}
		if got := errors.Is(err, cloudlink.ErrLost); got != lost {
			t.Errorf("%s: lost is %v: %v", code, got, err)
		}
		if code == wire.CodeUnknownBundle && !strings.Contains(err.Error(), "mine (ab00") {
			t.Errorf("%v", err)
		}
	}
}

func TestLinkMinutes(t *testing.T) {
	db := openTestDB(t, filepath.Join(t.TempDir(), "state"))
	at := time.Now().UTC().Truncate(time.Minute)
	m := monitor.Minute{Start: at, Worst: monitor.Down, Reason: "no answer", RTT: 30 * time.Millisecond, Loss: 0.25, Goodput: 1e6}
	if err := linkStore(db).AppendLink([]monitor.Minute{m}); err != nil {
		t.Fatal(err)
	}
	got, err := db.LinkHistory(at.Add(-time.Minute))
	want := storage.LinkSample{At: at, State: m.Worst.String(), Reason: m.Reason, RTT: m.RTT, Loss: m.Loss, Goodput: m.Goodput}
	if err != nil || len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if linkStore(nil) != nil {
		t.Error("no database is a store")
	}
}
