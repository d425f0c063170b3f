package calibrate

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// fitted is a bundle of random weights whose exits have heads that change nothing, and a text.
func fitted(t *testing.T) (dir, file string) {
	t.Helper()
	dir, file = tiny(t)
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var heads []*bundle.FittedHead
	var entries []bundle.Head
	d := b.Manifest.Embedding
	for _, e := range b.Manifest.Exits {
		h := &bundle.FittedHead{Exit: e, Translator: make([]float32, d*d), Bias: make([]float32, d), Shortlist: []int32{5, 6, 7}}
		for i := range d {
			h.Translator[i*d+i] = 1
		}
		heads, entries = append(heads, h), append(entries, bundle.Head{Exit: e, Kind: bundle.HeadFitted})
	}
	if err := b.SetHeads(t.Context(), heads, entries, &bundle.Calibration{}); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func trainOptions(file string) TrainOptions {
	return TrainOptions{Texts: []string{file}, Tokens: 6000, Passes: 2, Seed: 1, Threads: 1, tune: 100, measured: 200, round: 3000, prompts: 4,
		Cache: filepath.Join(filepath.Dir(file), "calibration")}
}

// What is trained computes what llama.cpp computes of the same weights: before the first step
// the net and the draft that is written of it say the same.
func TestNetComputesWhatTheDraftDoes(t *testing.T) {
	dir, file := fitted(t)
	tr, err := openTraining(t.Context(), dir, trainOptions(file).withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	var lessons []lesson
	if lessons, err = tr.gather(t.Context(), 300); err != nil {
		t.Fatal(err)
	}
	s := trainedStage(t, tr)
	defer s.Close()
	var worst, most float64
	for _, l := range lessons[:2] {
		if l.first > 0 {
			t.Fatal("the first lessons begin in the middle of their documents")
		}
		z := tr.net.Outputs(0, tr.sequence(lesson{d: l.d, rows: l.rows}).In)
		b := engine.NewBatch(0, 0, l.rows, engine.WantLogits)
		b.Tokens = l.d.tokens[:l.rows]
		if err := s.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		d := tr.m.d
		for i := range l.rows {
			for id := range len(tr.lm) / d {
				dot := 0.0
				for j, v := range tr.lm[id*d : (id+1)*d] {
					dot += float64(v) * float64(z[i*d+j])
				}
				got := float64(out.Logits[i*s.VocabSize()+id])
				worst, most = max(worst, math.Abs(got-dot)), max(most, math.Abs(got))
			}
		}
	}
	if !(worst < 0.05*most) {
		t.Errorf("logits of up to %g differ by up to %g", most, worst)
	}
}

func trainedStage(t *testing.T, tr *training) *engine.Stage {
	t.Helper()
	var file strings.Builder
	if err := tr.write(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	s, err := engine.OpenStage(write(t, filepath.Join(t.TempDir(), "draft.gguf"), file.String()), engine.Options{Threads: 1, NoFlashAttention: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A training leaves a draft in the bundle that was measured, and that the bundle is sound with;
// one that is interrupted leaves the bundle as it was, goes on, and ends with the same draft.
func TestTrainingMakesADraftAndGoesOn(t *testing.T) {
	dir, file := fitted(t)
	before := files(t, dir)
	o := trainOptions(file)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	saved := 0
	o.Note = func(format string, _ ...any) {
		if saved++; saved == 3 { // the curve's third point: the second round ends
			cancel()
		}
	}
	if _, err := Train(ctx, dir, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if !reflect.DeepEqual(files(t, dir), before) {
		t.Fatal("the bundle is another after an interrupted training")
	}
	var notes []string
	o.Note = func(format string, _ ...any) { notes = append(notes, format) }
	r, err := Train(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) == 0 || !strings.Contains(notes[0], "goes on") {
		t.Errorf("the second training says %q", notes)
	}
	if left, err := filepath.Glob(filepath.Join(o.Cache, "*")); err != nil || len(left) > 0 {
		t.Errorf("the cache still has %v: %v", left, err)
	}
	if n := len(r.Curve); n < 4 || r.Curve[n-1].Loss >= r.Curve[1].Loss || !r.Gained() {
		t.Errorf("the curve is %+v", r.Curve)
	}
	b, err := bundle.Open(t.Context(), dir, bundle.DraftModel)
	if err != nil {
		t.Fatal(err)
	}
	d := b.Manifest.Draft
	if d.Blocks != b.Manifest.Exits[1] || len(d.Measured) != 2 || d.FreeText == nil || d.Threshold <= 0 || !reflect.DeepEqual(d, r.Draft) {
		t.Errorf("the draft is %+v", d)
	}
	var text strings.Builder
	if err := r.Write(&text, false); err != nil || !strings.Contains(text.String(), "it is the bundle's draft model now") {
		t.Errorf("%s: %v", &text, err)
	}

	o.Note = nil
	if _, err := Train(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("over a draft: %v", err)
	}
	o.Replace = true
	if _, err := Train(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	again, err := bundle.ReadManifest(dir)
	if err != nil || again.Draft.SHA256 != d.SHA256 {
		t.Errorf("without an interruption the draft is another: %v", err)
	}
}

// What cannot be trained is refused with what to do.
func TestTrainingRefuses(t *testing.T) {
	dir, file := tiny(t)
	o := trainOptions(file)
	if _, err := Train(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "skerry model calibrate") {
		t.Errorf("without a fitted exit: %v", err)
	}
	o.From = 99
	if _, err := Train(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "block 99") {
		t.Errorf("from a block that is not there: %v", err)
	}
}

// A curve is flat once twice the text brings little, and not before there was enough of it.
func TestFlatCurve(t *testing.T) {
	var rising, still []TrainPoint
	for i := range 9 {
		rising = append(rising, TrainPoint{Tokens: i * 1000, Agreement: 0.3 + 0.01*float64(i)})
		still = append(still, TrainPoint{Tokens: i * 1000, Agreement: 0.3})
		if flat(rising) || flat(still) != (i >= 5) {
			t.Errorf("after round %d: %v, %v", i, flat(rising), flat(still))
		}
	}
}

// A draft that is better than it was, and worse than the exit that the bundle has, is no gain.
func TestGainIsOverTheExit(t *testing.T) {
	r := Trained{Curve: []TrainPoint{{Agreement: 0.1}, {Tokens: 1000, Agreement: 0.3, ByKind: map[string]float64{kindChat: 0.3}}}}
	if !r.Gained() {
		t.Error("it gains where the exit was never measured")
	}
	r.Exit.ByKind = map[string]bundle.Reliability{kindChat: {Agreement: 0.4}}
	if r.Gained() {
		t.Error("it is worse than the exit")
	}
}
