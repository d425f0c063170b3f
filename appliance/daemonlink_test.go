package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// narrow is a stage of which only the width is asked.
type narrow struct{ decode.Stage }

func (narrow) Width() int                                  { return 4 }
func (narrow) Forward(engine.Batch) (engine.Output, error) { panic("not asked") }

// TestDaemonLinkCarriesSeveral: conversations share one connection, each with a
// session of its own, and the status says how the link is.
func TestDaemonLinkCarriesSeveral(t *testing.T) {
	dir := t.TempDir()
	cloud := openCloudFor(t, dir)
	defer cloud.Close()
	stop, addr := serveEcho(t, filepath.Join(dir, "dev"), "127.0.0.1:0", cloud)
	defer stop()
	db, err := storage.Open(filepath.Join(dir, "board.db"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d, err := startDaemonLink(linkSettings{Cloud: addr, Encoding: "f32", State: dir}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	m := decode.Model{Exits: []decode.Exit{{Stage: narrow{}}}, Context: 16}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := d.await(ctx); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			l, err := d.open(ctx, decode.Collaborative, wire.Hash{1}, m)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.close()
			for pos := range 5 {
				row := []float32{float32(n), float32(pos), 0, 9}
				if err := l.Append(pos, row); err != nil {
					t.Error(err)
				}
				got, err := l.Ask(ctx, pos, 0)
				if err != nil || len(got.Logits) != 4 || got.Logits[0] != float32(n) || got.Logits[1] != float32(pos) {
					t.Errorf("session %d, position %d: %v %v", n, pos, got, err)
				}
			}
			if up, down := l.bytes(); up == 0 || down != 5*16 {
				t.Errorf("session %d: %d bytes up, %d down", n, up, down)
			}
		})
	}
	wg.Wait()
	s := d.status()
	if !s.Connected || s.Cloud != addr || s.Reconnects != 0 || s.Transport != "quic" || s.Hour == nil {
		t.Errorf("%+v", s)
	}
}

func TestDaemonLinkNotWanted(t *testing.T) {
	d, err := startDaemonLink(linkSettings{State: t.TempDir()}, nil, slog.New(slog.DiscardHandler))
	if d != nil || err != nil {
		t.Errorf("%v %v", d, err)
	}
	if s := d.status(); s.Wanted || s.Hour == nil {
		t.Errorf("%+v", s)
	}
	if _, err := startDaemonLink(linkSettings{Cloud: "cloud.example.org", State: t.TempDir()}, nil, nil); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
		t.Errorf("%v", err)
	}
}
