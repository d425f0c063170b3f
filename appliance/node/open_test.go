package node

import (
	"errors"
	"log/slog"
	"testing"

	"skerry/appliance/config"
	"skerry/appliance/server"
)

// fullJournal is on a disk that has no room left.
type fullJournal struct{ server.Journal }

func (fullJournal) Sync() error { return errors.New("no space left on device") }

// That the database cannot be written to at the end is an error of a session alone: without
// one nothing was promised to be kept.
func TestCloseOnFullDisk(t *testing.T) {
	for _, session := range []string{"", "s"} {
		b := &Board{state: t.TempDir(), log: slog.New(slog.DiscardHandler), single: &OpenOptions{Session: session}}
		conf := config.Default()
		conf.Bundle = t.TempDir() // nothing is to be loaded
		b.openCore(&loader{conf: conf, root: "/", single: true, life: t.Context()}, server.Options{Journal: fullJournal{}})
		if err := b.core.Await(t.Context()); err == nil {
			t.Error("an empty directory is loaded")
		}
		if err := b.Close(); (err != nil) != (session != "") {
			t.Errorf("session %q: %v", session, err)
		}
	}
}
