package calibrate

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/build/testseed"
)

// fitted is a bundle of random weights whose exits have heads that change nothing, and a text.
func fitted(t *testing.T) (dir, file string) {
	return fittedBy(t, func(int, int) float32 { return 0 })
}

// fittedBy adds to each translator and, in a column behind it, to its bias.
func fittedBy(t *testing.T, add func(row, col int) float32) (dir, file string) {
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
			for k := range d {
				h.Translator[i*d+k] = add(i, k)
			}
			h.Translator[i*d+i]++
			h.Bias[i] = add(i, d)
		}
		heads, entries = append(heads, h), append(entries, bundle.Head{Exit: e, Kind: bundle.HeadFitted})
	}
	if err := b.SetHeads(t.Context(), heads, entries, &bundle.Calibration{}); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func trainOptions(file string) TrainOptions {
	return TrainOptions{Texts: []string{file}, Tokens: 9000, Passes: 2, Seed: 1, Threads: 1, tune: 100, measured: 200, round: 3000, prompts: 4,
		Cache: filepath.Join(filepath.Dir(file), "calibration")}
}

// What is trained begins as the exit with its fitted head, and computes what llama.cpp computes
// of the same weights: before the first step the head on the whole model's own states, the net
// and the draft that is written of it say the same. The head is one that changes all it is
// given, with a bias that matters.
func TestNetComputesWhatTheHeadAndTheDraftDo(t *testing.T) {
	r := testseed.Rand(t)
	dir, file := fittedBy(t, func(_, col int) float32 {
		if col == tinyWidth {
			return float32(r.NormFloat64())
		}
		return float32(0.05 * r.NormFloat64())
	})
	tr, err := openTraining(t.Context(), dir, trainOptions(file).withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	docs, err := tr.gather(t.Context(), 2000)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(docs, func(a, b *document) int { return len(b.tokens) - len(a.tokens) })
	if n := len(docs[0].tokens); n <= 256 {
		t.Fatalf("the longest of the documents has %d tokens, and is to be a whole window", n)
	}
	head, err := tr.b.FittedHead(t.Context(), tr.model.To)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := openModel(tr.b, []int{tr.model.To}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.close()
	s := trainedStage(t, tr)
	defer s.Close()
	if tr.m.d != tinyWidth {
		t.Fatalf("the tiny model is %d wide", tr.m.d)
	}
	var most float64
	var offNet, offFile, biasless float64 // from the head
	for _, d := range []*document{docs[0], docs[len(docs)-1]} {
		z := tr.net.Outputs(0, tr.sequence(d).In)
		rows := len(d.tokens)
		b := engine.NewBatch(0, 0, rows, engine.WantLogits)
		b.Tokens = d.tokens
		if err := s.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		read, err := whole.read(t.Context(), b.Tokens, false, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			exit, normed := make([]float32, tinyWidth), make([]float32, tinyWidth)
			read.stream(i, 0, 1, exit)
			tr.norm.apply(exit, normed)
			said, without := make([]float64, tinyWidth), make([]float64, tinyWidth)
			for j := range said {
				for k, v := range normed {
					without[j] += float64(head.Translator[j*tinyWidth+k]) * float64(v)
				}
				said[j] = without[j] + float64(head.Bias[j])
			}
			for id, row := 0, tr.lm; len(row) > 0; id, row = id+1, row[tinyWidth:] {
				var want, bare, net float64
				for j, v := range row[:tinyWidth] {
					want += float64(v) * said[j]
					bare += float64(v) * without[j]
					net += float64(v) * float64(z[i*tinyWidth+j])
				}
				most, biasless = max(most, math.Abs(want)), max(biasless, math.Abs(want-bare))
				offNet = max(offNet, math.Abs(net-want))
				offFile = max(offFile, math.Abs(float64(out.Logits[i*s.VocabSize()+id])-want))
			}
		}
	}
	if most *= 0.05; !(offNet < most && offFile < most && biasless > 4*most) {
		t.Errorf("logits of up to %g: the net is off by %g, the file by %g, the head without its bias by %g", 20*most, offNet, offFile, biasless)
	}
}

// tinyWidth is that of the tiny model.
const tinyWidth = 64

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
