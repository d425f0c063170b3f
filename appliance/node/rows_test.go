package node

import (
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/node/nodetest"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// A process goes on with the rows that the cloud has from the one before, leaves out its
// branches, and a question that takes some of them back names the branch since when it holds.
func TestRowsAreKept(t *testing.T) {
	dir := t.TempDir()
	cloud := nodetest.OpenCloud(t, dir)
	defer cloud.Close()
	stop, addr := nodetest.ServeEcho(t, filepath.Join(dir, "dev"), "127.0.0.1:0", cloud)
	defer stop()
	db := nodetest.OpenDB(t, dir)
	defer db.Close()
	d, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", State: dir}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	bundle := wire.Hash{1}
	m := decode.Model{Exits: []decode.Exit{{Stage: narrow{}}}, Context: 16}
	k := &keptRows{db: db, session: "s"}
	if k.cloud, err = d.open(t.Context(), decode.Collaborative, bundle, m, k); err != nil {
		t.Fatal(err)
	}
	defer k.cloud.Close()
	ask := func(prompt ...int32) {
		t.Helper()
		log, err := Journal{DB: db, rows: k}.Open("s", true)
		if err == nil {
			r := question("id", prompt)
			r.Bundle = hex.EncodeToString(bundle[:])
			err = log.Begin(r, prompt)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(1, 2, 3)
	for pos := range 3 {
		if err := k.cloud.Append(pos, []float32{1, 2, 3, 4}); err != nil {
			t.Fatal(err)
		}
	}
	var opt cloudlink.SessionOptions
	opt.Bundle = bundle
	if err := (&keptRows{db: db, session: "s"}).resume(&opt); err != nil || opt.ID != k.id || opt.Position != 3 || opt.Branch != 0 {
		t.Errorf("resumes %v at %d on branch %d, %v", opt.ID, opt.Position, opt.Branch, err)
	}
	// An answer is no part of it: the cloud may have rows of drafts there, and not know that they
	// were rejected.
	log, err := Journal{DB: db, rows: k}.Open("s", false)
	for pos, id := range []int32{7, 8} {
		if err == nil {
			err = log.Say(3+pos, id)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := (&keptRows{db: db, session: "s"}).resume(&opt); err != nil || opt.ID != k.id || opt.Position != 3 {
		t.Errorf("resumes %v at %d in the midst of an answer, %v", opt.ID, opt.Position, err)
	}
	ask(1, 9)
	if err := (&keptRows{db: db, session: "s"}).resume(&opt); err != nil || opt.ID != k.id || opt.Position != 2 || opt.Branch <= branchRoom {
		t.Errorf("resumes at %d on branch %d, %v", opt.Position, opt.Branch, err)
	}
	// A session with the cloud that has ended holds no question up.
	if err := k.cloud.Append(0, []float32{1, 2, 3, 4, 1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if err := k.cloud.Close(); err != nil {
		t.Fatal(err)
	}
	ask(1, 5)
	if r, err := log.Record(); err != nil || r.Link == hex.EncodeToString(k.id[:]) {
		t.Errorf("the id at the cloud after its end is %s, %v", r.Link, err)
	}
	// A daemon, which has none of the rows, draws another id.
	log, err = Journal{DB: db}.Open("s", true)
	if err == nil {
		err = log.Begin(question("id", []int32{1, 9}), []int32{1, 9})
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := log.Record(); err != nil || r.Link == hex.EncodeToString(k.id[:]) {
		t.Errorf("the id at the cloud is %s, %v", r.Link, err)
	}
}

// A session of another bundle, or one that is damaged, is refused with what to do.
func TestRowsRefused(t *testing.T) {
	db := nodetest.OpenDB(t, t.TempDir())
	defer db.Close()
	log, err := Journal{DB: db}.Open("s", true)
	if err != nil {
		t.Fatal(err)
	}
	r := question("id", []int32{1})
	if err := log.Begin(r, []int32{1}); err != nil {
		t.Fatal(err)
	}
	k := &keptRows{db: db, session: "s"}
	if err := k.check("b"); err != nil {
		t.Error(err)
	}
	if err := k.check("another"); err == nil || !strings.Contains(err.Error(), "begun with bundle b, this is another: give that bundle") {
		t.Errorf("%v", err)
	}
	var opt cloudlink.SessionOptions
	r.Bundle, r.Link = hex.EncodeToString(opt.Bundle[:]), "00"
	if err := log.Save(r); err != nil {
		t.Fatal(err)
	}
	if err := k.resume(&opt); err == nil || !strings.Contains(err.Error(), "begin another session") {
		t.Errorf("a damaged id: %v", err)
	}
	meta, err := log.(*sessionLog).Meta()
	if err != nil {
		t.Fatal(err)
	}
	meta.Options = append(meta.Options, "junk"...)
	if err := log.(*sessionLog).SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	if err := k.check("b"); err == nil || !strings.Contains(err.Error(), "session s is damaged") {
		t.Errorf("damaged: %v", err)
	}
}
