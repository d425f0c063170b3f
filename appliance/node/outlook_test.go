package node

import (
	"path/filepath"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/predict"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink/monitor"
)

// measuredBundle is a tiny bundle whose exits are said to be right as often as agreement.
func measuredBundle(t *testing.T, agreement float64) (string, *bundle.Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny", "q8_0"), dir, split.Options{Type: "keep", Exits: []int{2, 4}}); err != nil {
		t.Fatal(err)
	}
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range man.Heads {
		man.Heads[i].Threshold = .8
		man.Heads[i].Measured = []bundle.HeadMeasured{
			{Confidence: 0, Agreement: agreement, Tokens: 1000, Share: 1}, {Confidence: .8, Agreement: .99, Tokens: 400, Share: .4},
		}
	}
	if err := man.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, man
}

func TestOutlook(t *testing.T) {
	dir, man := measuredBundle(t, .8)
	now := time.Unix(1000, 0)
	o := &outlook{now: func() time.Time { return now }}
	up := linkNow{Encoding: "f32", Estimates: monitor.Estimates{SmoothedRTT: 10 * time.Millisecond, RowCost: 20 * time.Millisecond, FurtherRow: time.Millisecond}}
	token := server.TokenSeen{Source: infer.Exit2, Took: 40 * time.Millisecond}

	if o.look(up, false) != nil {
		t.Error("something is predicted of no model")
	}
	o.load(dir, man, []infer.Mode{decode.Collaborative, decode.Standalone}, false)
	if o.look(up, false) != nil {
		t.Error("something is predicted of a board that has said nothing")
	}
	o.observe(server.TokenSeen{Source: infer.Exit2, Took: time.Hour, First: true})
	o.observe(server.TokenSeen{Source: infer.FromCloud, Took: time.Hour})
	o.observe(token)
	if o.look(linkNow{Encoding: "f32"}, false) != nil {
		t.Error("something is predicted of a link that has not been measured")
	}
	got := o.look(up, false)
	if got == nil || got.Mode != predict.Collaborative || got.Why == "" {
		t.Fatalf("%+v", got)
	}
	m := modeOf(t, got, predict.Collaborative)
	// A token of the board's and, for 0.6 of them, the way and the cloud's batch.
	if least := 40 + .6*(10+20); m.TokenMS < float64(least) || m.TokenMS > float64(least)+5 || m.Asks < .59 || m.Asks > .61 {
		t.Errorf("%+v", m)
	}
	if s := modeOf(t, got, predict.Standalone); s.Not == "" {
		t.Errorf("standalone beside a cloud: %+v", s)
	}
	if v := modeOf(t, got, predict.Verified); v.Not == "" {
		t.Errorf("a mode that is not loaded: %+v", v)
	}

	o.load(dir, man, []infer.Mode{decode.Collaborative, decode.Standalone}, true)
	o.observe(token)
	if m := modeOf(t, o.look(up, false), predict.Collaborative); m.Bytes != 4 || m.CloudMS < .6*20 || m.CloudMS > .6*20+2 {
		t.Errorf("with token ids: %+v", m)
	}
	gone := up
	gone.Gone = "the link is down"
	if got = o.look(gone, false); got == nil || got.Mode != "" || modeOf(t, got, predict.Collaborative).Not != gone.Gone {
		t.Errorf("without the link: %+v", got)
	}
}

// Of two modes that the daemon can serve the exact one is chosen, unless the bundle was
// calibrated to a bound within which the other is clearly faster.
func TestOutlookChooses(t *testing.T) {
	const verified = infer.Mode(predict.Verified)
	dir, man := measuredBundle(t, .5)
	now := time.Unix(1000, 0)
	o := &outlook{now: func() time.Time { return now }}
	far := linkNow{Encoding: "f32", Estimates: monitor.Estimates{SmoothedRTT: 100 * time.Millisecond, RowCost: 20 * time.Millisecond, FurtherRow: 20 * time.Millisecond}}
	load := func(bound float64) {
		if man.Calibration = nil; bound > 0 {
			man.Calibration = &bundle.Calibration{Bound: &bundle.DisagreementBound{Most: bound}}
		}
		o.load(dir, man, []infer.Mode{decode.Collaborative, verified, decode.Standalone}, false)
		o.observe(server.TokenSeen{Source: infer.Exit1, Took: 10 * time.Millisecond})
	}
	load(0)
	if got := o.look(far, false); got == nil || got.Mode != predict.Verified {
		t.Errorf("without a bound: %+v", got)
	}
	o.observe(server.TokenSeen{Source: infer.Exit1, Took: time.Hour}) // of a check's tokens
	if o.drafted > .02 {
		t.Errorf("tokens of checks are taken for drafts: %g s", o.drafted)
	}
	load(.02)
	got := o.look(far, false)
	if got == nil || got.Mode != predict.Collaborative || got.Second != predict.Verified {
		t.Errorf("with one: %+v", got)
	}
}

func modeOf(t *testing.T, o *status.Outlook, mode string) status.ModeOutlook {
	t.Helper()
	for _, m := range o.Modes {
		if m.Mode == mode {
			return m
		}
	}
	t.Fatalf("no %s in %+v", mode, o)
	return status.ModeOutlook{}
}
