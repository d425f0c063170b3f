package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/cloudnode"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/server"
	"skerry/appliance/status/health"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// narrow is a stage of which only the width is asked.
type narrow struct{ decode.Stage }

func (narrow) Width() int                                  { return 4 }
func (narrow) Forward(engine.Batch) (engine.Output, error) { panic("not asked") }

// TestCloudLinkCarriesSeveral: conversations share one connection, each with a
// session of its own, and the status says how the link is.
func TestCloudLinkCarriesSeveral(t *testing.T) {
	dir := t.TempDir()
	cloud := nodetest.OpenCloud(t, dir)
	defer cloud.Close()
	stop, addr := nodetest.ServeEcho(t, filepath.Join(dir, "dev"), "127.0.0.1:0", cloud)
	defer stop()
	db, err := storage.Open(filepath.Join(dir, "board.db"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", Version: "v1", State: dir}, db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	m := decode.Model{Exits: []decode.Exit{{Stage: narrow{}}}, Context: 16}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := d.Await(ctx); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			l, err := d.open(ctx, decode.Collaborative, wire.Hash{1}, m, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			for pos := range 5 {
				row := []float32{float32(n), float32(pos), 0, 9}
				if err := l.Append(pos, row); err != nil {
					t.Error(err)
				}
				got, err := askOn(ctx, l, pos)
				if err != nil || len(got.Logits) != 4 || got.Logits[0] != float32(n) || got.Logits[1] != float32(pos) {
					t.Errorf("session %d, position %d: %v %v", n, pos, got, err)
				}
			}
			if up, down := l.Bytes(); up == 0 || down != 5*16 {
				t.Errorf("session %d: %d bytes up, %d down", n, up, down)
			}
		})
	}
	wg.Wait()
	// A busy machine may lose the link for a moment.
	if !nodetest.Eventually(func() bool {
		s := d.status()
		return s.Connected && s.Cloud == addr && s.Transport == "quic" && s.Hour != nil
	}) {
		t.Errorf("%+v", d.status())
	}
}

// askOn asks again where the link was lost for a moment, as the token loop does.
func askOn(ctx context.Context, l decode.Cloud, pos int) (decode.Row, error) {
	for {
		row, err := l.Ask(ctx, pos, 0)
		var passes *decode.TransientError
		if !errors.As(err, &passes) || ctx.Err() != nil {
			return row, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCloudLinkNotWanted(t *testing.T) {
	d, err := startLink(linkSettings{State: t.TempDir()}, nil, slog.New(slog.DiscardHandler))
	if d != nil || err != nil {
		t.Errorf("%v %v", d, err)
	}
	if s := d.status(); s.Wanted || s.Hour == nil {
		t.Errorf("%+v", s)
	}
	if _, err := startLink(linkSettings{Cloud: "cloud.example.org", State: t.TempDir()}, nil, nil); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
		t.Errorf("%v", err)
	}
}

// TestDaemonReports: the cloud learns how a daemon is, and lists it.
func TestDaemonReports(t *testing.T) {
	dir := t.TempDir()
	cloud := nodetest.OpenCloud(t, dir)
	defer cloud.Close()
	stop, addr := nodetest.ServeEcho(t, filepath.Join(dir, "dev"), "127.0.0.1:0", cloud)
	defer stop()
	now := time.Now()
	d := &Node{Board: Board{core: server.New(server.Options{Loader: noModel{}})}, health: health.NewTracker(func() time.Time { return now })}
	d.conf.Mode = autoMode
	d.health.Set(health.ModelFailed, "err", "architecture mamba is not supported")
	d.health.Set(health.DatabaseWrite, "err", "no space left on device")
	now = now.Add(time.Hour)
	d.health.Active()
	link, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", Version: "v1", State: dir, Random: func() float64 { return 0 }}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer link.close()
	link.reportTo(link.Link, d.report)
	var row cloudnode.Device
	if !nodetest.Eventually(func() bool {
		dev, err := cloud.Device(cloudlink.DevClient)
		if err != nil {
			t.Fatal(err)
		}
		row = cloudnode.NewDevice(dev)
		return row.Status != nil
	}) {
		t.Fatalf("no status came: %+v", row)
	}
	s := row.Status
	if row.Seen == nil || s.Version != "v1" || s.Mode == "" || s.Transport != "quic" || s.BytesUp == 0 || !strings.HasSuffix(s.Health, ", and 1 more") {
		t.Errorf("%+v", s)
	}
}
