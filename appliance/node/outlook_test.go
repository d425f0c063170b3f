package node

import (
	"path/filepath"
	"slices"
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
	o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Standalone}})
	if o.look(up, false) != nil {
		t.Error("something is predicted of a board that has said nothing")
	}
	o.observe(server.TokenSeen{Source: infer.Exit2, Took: time.Hour, First: true})
	o.observe(server.TokenSeen{Source: infer.FromCloud, Took: time.Hour})
	o.observe(server.TokenSeen{Source: infer.FromCloud, Mode: decode.Verified, Took: time.Hour})
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

	o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Standalone}, ids: true})
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

// What is predicted of drafts follows what became of them, once enough were checked.
func TestOutlookOfObservedDrafts(t *testing.T) {
	dir, man := measuredBundle(t, .8)
	now := time.Unix(1000, 0)
	o := &outlook{now: func() time.Time { return now }}
	far := linkNow{Encoding: "f32", Estimates: monitor.Estimates{SmoothedRTT: 300 * time.Millisecond, RowCost: 20 * time.Millisecond, FurtherRow: time.Millisecond}}
	token := func(right, of float64) float64 {
		o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Verified}, exits: true, checked: func() (float64, float64) { return right, of }})
		o.observe(server.TokenSeen{Source: infer.Exit2, Took: 10 * time.Millisecond})
		return modeOf(t, o.look(far, false), predict.Verified).TokenMS
	}
	calibrated := token(.1, enoughChecked-1)
	if same := token(.8, enoughChecked); same < calibrated*.99 || same > calibrated*1.01 {
		t.Errorf("%v ms a token as calibrated, %v where the same was observed", calibrated, same)
	}
	if worse := token(.1, enoughChecked); worse < calibrated*1.5 {
		t.Errorf("%v ms a token as calibrated, %v where drafts are hardly ever right", calibrated, worse)
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
		o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, verified, decode.Standalone}})
		o.observe(server.TokenSeen{Source: infer.Exit1, Took: 10 * time.Millisecond})
	}
	load(0)
	if got := o.look(far, false); got == nil || got.Mode != predict.Verified {
		t.Errorf("without a bound: %+v", got)
	}
	o.observe(server.TokenSeen{Source: infer.Exit1, Mode: verified, Took: time.Hour}) // of a check's tokens
	if o.drafted > .02 {
		t.Errorf("tokens of checks are taken for drafts: %g s", o.drafted)
	}
	load(.02)
	got := o.look(far, false)
	if got == nil || got.Mode != predict.Collaborative || got.Second != predict.Verified {
		t.Errorf("with one: %+v", got)
	}
}

// Where the whole model is on the board too it is chosen while it is predicted to be the
// faster, and the cloud again where it was not so fast after all, with or without the link.
func TestOutlookHasTheBoardLead(t *testing.T) {
	dir, man := measuredBundle(t, .5)
	now := time.Unix(1000, 0)
	o := &outlook{now: func() time.Time { return now }}
	near := linkNow{Encoding: "f32", Estimates: monitor.Estimates{SmoothedRTT: 2 * time.Millisecond, RowCost: 20 * time.Millisecond, FurtherRow: time.Millisecond}}
	far := near
	far.SmoothedRTT = 10 * time.Second
	o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Verified, decode.Standalone}, whole: true})
	o.observe(server.TokenSeen{Source: infer.Exit1, Mode: decode.Collaborative, Took: 10 * time.Millisecond})
	leads := func(l linkNow) bool {
		t.Helper()
		got := o.look(l, false)
		leads, old := o.is(predict.Unsplit)
		if old || got == nil || leads != (got.Mode == predict.Unsplit) {
			t.Errorf("leads %v, old %v, %+v", leads, old, got)
		}
		return leads
	}
	if !leads(far) {
		t.Error("the cloud leads from far away")
	}
	now = now.Add(time.Second)
	if _, old := o.is(predict.Unsplit); !old {
		t.Error("what was found out a second ago is still taken")
	}
	for range 200 {
		o.observe(server.TokenSeen{Source: infer.FromUnsplit, Mode: decode.Verified, Took: time.Second})
	}
	if !leads(near) {
		t.Error("it changes within five seconds")
	}
	if now = now.Add(5 * time.Second); leads(near) {
		t.Error("the board leads, and is slow")
	}
	near.Gone = "the link is down"
	if !leads(near) {
		t.Error("nobody leads without the link")
	}
	o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Standalone}, whole: true})
	o.observe(server.TokenSeen{Source: infer.Exit1, Took: 10 * time.Millisecond})
	if leads(far) { // in mid-answer the text would be another
		t.Error("the board leads where nothing exact is served")
	}
}

// Confidences that the user has set let the board's own tokens compete by time.
func TestOutlookOfThresholds(t *testing.T) {
	dir, man := measuredBundle(t, .5)
	o := &outlook{now: func() time.Time { return time.Unix(1000, 0) }}
	far := linkNow{Encoding: "f32", Estimates: monitor.Estimates{SmoothedRTT: 100 * time.Millisecond, RowCost: 20 * time.Millisecond, FurtherRow: 20 * time.Millisecond}}
	for _, set := range []bool{false, true} {
		o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative, decode.Verified, decode.Standalone}, thresholds: set})
		o.observe(server.TokenSeen{Source: infer.Exit1, Took: 10 * time.Millisecond})
		want := predict.Verified
		if set {
			want = predict.Collaborative
		}
		if got := o.look(far, false); got == nil || got.Mode != want {
			t.Errorf("thresholds %v: %+v, not %s", set, got, want)
		}
	}
}

// Of mode auto verified is one where what goes up loses nothing.
func TestModesOfAuto(t *testing.T) {
	for _, c := range []struct {
		mode, encoding string
		ids            bool
		verified       bool
	}{
		{autoMode, "f32", false, true}, {autoMode, "", false, true}, {autoMode, "f16", false, false}, {autoMode, "q8", false, false},
		{autoMode, "q8", true, true}, {string(decode.Collaborative), "f32", false, false},
	} {
		l := &loader{}
		l.conf.Mode, l.conf.Cloud.Encoding = c.mode, c.encoding
		o := &opening{loader: l, mode: decode.Collaborative, tokens: c.ids}
		if got := o.modes(); got[0] != decode.Collaborative || slices.Contains(got, decode.Verified) != c.verified {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Exits are asked before the cloud is, so that a token of the cloud's says what they take; a
// draft model need not have been.
func TestOutlookLearnsOfTheCloudsTokens(t *testing.T) {
	dir, man := measuredBundle(t, .5)
	for _, exits := range []bool{true, false} {
		o := &outlook{now: time.Now}
		o.load(loadedModel{dir: dir, manifest: man, modes: []infer.Mode{decode.Collaborative}, exits: exits})
		o.observe(server.TokenSeen{Source: infer.FromCloud, Mode: decode.Collaborative, Took: 50 * time.Millisecond, Wait: 30 * time.Millisecond})
		if got := o.drafted; exits != (got > .019 && got < .021) || !exits && got != 0 {
			t.Errorf("exits %v: %g s", exits, got)
		}
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
