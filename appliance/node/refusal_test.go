package node

import (
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/node/nodetest"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/cloudlink/wire"
)

// TestCloudLacksTheBundle: a board knows from the cloud's first word that nothing can
// be asked over a link that is up, says what is the matter and what mends it, and
// nothing of what failed before.
func TestCloudLacksTheBundle(t *testing.T) {
	dir := t.TempDir()
	cloud := nodetest.OpenCloud(t, dir)
	defer cloud.Close()
	addr := nodetest.FreePort(t)
	looked := make(chan struct{}, 100)
	d, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", State: dir, Changed: func() { looked <- struct{}{} }}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	await := func(what string, ok func(status.Link) bool) status.Link {
		t.Helper()
		var s status.Link
		if !nodetest.Eventually(func() bool {
			d.Retry()
			s = d.status()
			return ok(s)
		}) {
			t.Fatalf("%s: %+v", what, s)
		}
		return s
	}
	before := await("nobody there", func(s status.Link) bool { return s.LastError != "" })
	if before.Refusal != "" || before.State != "down" {
		t.Errorf("nobody there: %+v", before)
	}
	stop, _ := nodetest.ServeEcho(t, filepath.Join(dir, "dev"), addr, cloud)
	defer stop()
	// How good it is depends on how busy this machine is.
	up := func(s status.Link) bool {
		return s.Connected && s.Refusal == "" && s.State != "down" && s.State != "refused"
	}
	await("up", up)
	if len(looked) == 0 {
		t.Error("nobody was told that the link is up")
	}
	d.Want(wire.Hash{9})
	s := await("another bundle wanted", func(s status.Link) bool { return s.State == "refused" })
	if s.Refusal != "unknown bundle" || !strings.HasPrefix(s.Reason, "the cloud lacks this model; it has") {
		t.Errorf("%+v", s)
	}
	tr := health.NewTracker(time.Now)
	all := status.Status{Time: time.Now(), State: status.Ready, Link: s, Board: status.Board{Addresses: []string{"10.0.0.9"}}}
	tr.Judge(all)
	var text string
	for _, p := range tr.Active() {
		if text += p.Text + p.Do; p.Code == "cloud-refuses" || p.Code == "link-down" {
			t.Errorf("shown too: %+v", p)
		}
	}
	if !strings.Contains(text, "the cloud lacks this model") || strings.Contains(text, before.LastError) {
		t.Errorf("%q, after %q", text, before.LastError)
	}
	d.Want(wire.Hash{1})
	await("a bundle that it has", up)
	has, lacks := wire.Hash{1}, wire.Hash{9}
	models := []status.Model{
		{Bundle: hex.EncodeToString(has[:]), State: status.Ready}, {Bundle: hex.EncodeToString(lacks[:]), State: status.Ready},
		{Bundle: hex.EncodeToString(lacks[:]), State: status.Loading},
	}
	d.judgeModels(models)
	if models[0].CloudLacks != "" || !strings.HasPrefix(models[1].CloudLacks, "the cloud lacks this model; it has") || models[2].CloudLacks != "" {
		t.Errorf("%+v", models)
	}
}
