//go:build !system_llama

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// projectorOf makes a tiny model of random weights with a projector of random weights, and
// opens both.
func projectorOf(t *testing.T, kind string, o engine.ProjectorOptions) (model, projector string, s *engine.Stage, p *engine.Projector) {
	t.Helper()
	model = enginetest.Synth(t, "tiny-vision")
	projector = filepath.Join(t.TempDir(), "mmproj.gguf")
	if err := synth.WriteProjector(t.Context(), synth.TinyProjector(kind, 64), projector, 7); err != nil {
		t.Fatal(err)
	}
	s = enginetest.Open(t, model, engine.Options{Context: 256})
	o.Threads = 1
	p, err := engine.OpenProjector(projector, s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	s.SetProjector(p)
	return model, projector, s, p
}

// pixelsOf draws something that differs everywhere.
func pixelsOf(w, h int) engine.Pixels {
	px := engine.Pixels{Width: w, Height: h}
	for y := range h {
		for x := range w {
			px.RGB = append(px.RGB, byte(7*x+3*y), byte(x*y), byte(255-5*x))
		}
	}
	return px
}

// crop is a part of an image.
func crop(px engine.Pixels, x0, y0, w, h int) engine.Pixels {
	out := engine.Pixels{Width: w, Height: h}
	for y := range h {
		at := 3 * ((y0+y)*px.Width + x0)
		out.RGB = append(out.RGB, px.RGB[at:at+3*w]...)
	}
	return out
}

func use(t *testing.T, p *engine.Projector, name string, px engine.Pixels) []int32 {
	t.Helper()
	ids, release, err := p.Use(t.Context(), []byte(name), func() (engine.Pixels, error) { return px, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return ids
}

// rowsOf are the numbers of image rows among tokens.
func rowsOf(ids []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return !engine.IsImageToken(id) })
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	var most, size float64
	for i := range got {
		most = max(most, math.Abs(float64(got[i]-want[i])))
		size += float64(want[i]) * float64(want[i])
	}
	if size = math.Sqrt(size / float64(len(want))); !(most <= 0.02*size) || size == 0 {
		t.Errorf("%s: off by %g at values of about %g", what, most, size)
	}
}

// The rows are those that a computation of its own comes to, in float64 and in the order of
// the patches.
func TestProjectorRows(t *testing.T) {
	for _, kind := range []string{"mlp", "idefics3"} {
		_, path, _, p := projectorOf(t, kind, engine.ProjectorOptions{})
		px := pixelsOf(32, 32)
		ids := rowsOf(use(t, p, "a", px))
		want := encodeImage(t, path, synth.TinyProjector(kind, 64), px)
		if kind == "idefics3" {
			ids = ids[len(ids)-4:] // its parts come before the whole image
		}
		for i, id := range ids {
			near(t, fmt.Sprintf("%s row %d", kind, i), engine.ProjectorRow(p, id), want[i])
		}
	}
}

// A large image comes as a whole and in parts, in the order of reading, each part with the
// tokens that say where it was.
func TestProjectorParts(t *testing.T) {
	_, _, s, p := projectorOf(t, "idefics3", engine.ProjectorOptions{})
	px := pixelsOf(64, 64)
	ids := use(t, p, "whole", px)
	v := s.Vocab()
	defer v.Close()
	var text strings.Builder
	for _, id := range ids {
		if engine.IsImageToken(id) {
			text.WriteByte('#')
		} else {
			text.Write(v.Piece(id, true))
		}
	}
	const f = "<fake_token_around_image>"
	if want := f + "<row_1_col_1>####" + f + "<row_1_col_2>####\n" + f + "<row_2_col_1>####" + f + "<row_2_col_2>####" +
		"\n\n" + f + "<global-img>####" + f; text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
	rows := rowsOf(ids)
	for i := range 4 { // a part that is asked alone is an image as a whole
		part := rowsOf(use(t, p, fmt.Sprint(i), crop(px, 32*(i%2), 32*(i/2), 32, 32)))
		for k := range 4 {
			near(t, fmt.Sprintf("part %d row %d", i, k), engine.ProjectorRow(p, rows[4*i+k]), engine.ProjectorRow(p, part[len(part)-4+k]))
		}
	}
}

// Images as narrow as any that are taken become rows like others.
func TestProjectorOfNarrowImages(t *testing.T) {
	for _, kind := range []string{"mlp", "idefics3"} {
		_, _, _, p := projectorOf(t, kind, engine.ProjectorOptions{})
		for _, size := range [][2]int{{2, 2}, {2, 3}, {1 << 14, 2}, {2, 1 << 14}, {333, 5}, {31, 1000}} {
			_, release, err := p.Use(t.Context(), fmt.Append(nil, size), func() (engine.Pixels, error) { return pixelsOf(size[0], size[1]), nil })
			if err != nil {
				t.Errorf("%s: %d x %d: %v", kind, size[0], size[1], err)
				continue
			}
			release()
		}
	}
}

// Rows of an image take the positions of a text, are computed as llama.cpp computes them, and
// go on through a model in parts as through the whole one.
func TestImageInText(t *testing.T) {
	model, _, whole, p := projectorOf(t, "mlp", engine.ProjectorOptions{})
	ids := use(t, p, "a", pixelsOf(48, 32))
	text := slices.Concat([]int32{1, 70, 71, 72}, ids, []int32{80, 81, 82, 90, 91})
	last := func(s *engine.Stage, b engine.Batch) []float32 {
		t.Helper()
		b.Want[len(b.Want)-1] = engine.WantLogits
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		return out.Logits
	}
	b := engine.NewBatch(0, 0, len(text), 0)
	b.Tokens = text
	got := last(whole, b)

	// The same by hand: the text's tokens as tokens, the image's rows as rows.
	plain := enginetest.Open(t, model, engine.Options{Context: 256})
	at := 0
	var want []float32
	for _, run := range [][]int32{text[:4], ids, text[4+len(ids):]} {
		b := engine.NewBatch(0, at, len(run), 0)
		if engine.IsImageToken(run[0]) {
			for _, id := range run {
				b.Hidden = append(b.Hidden, engine.ProjectorRow(p, id)...)
			}
		} else {
			b.Tokens = run
		}
		want = last(plain, b)
		at += len(run)
	}
	if !slices.Equal(got, want) {
		t.Error("rows of an image in a text are not what the same rows are by themselves")
	}

	// In parts: the hidden states behind the first stage are all that the second one has.
	dir := filepath.Join(t.TempDir(), "b")
	m, err := split.Model(t.Context(), model, dir, split.Options{Exits: []int{2}, Type: "keep"})
	if err != nil {
		t.Fatal(err)
	}
	board := enginetest.Open(t, filepath.Join(dir, m.Stages[0].File), engine.Options{Context: 256})
	cloud := enginetest.Open(t, filepath.Join(dir, m.Stages[1].File), engine.Options{Context: 256})
	board.SetProjector(p)
	b = engine.NewBatch(0, 0, len(text), engine.WantHidden)
	b.Tokens = text
	out, err := board.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	b = engine.NewBatch(0, 0, len(text), 0)
	b.Hidden = out.Hidden
	near(t, "in parts", last(cloud, b), got)

	// One token of the image taken for another's place changes the answer.
	swapped := slices.Clone(text)
	swapped[5], swapped[9] = swapped[9], swapped[5]
	if err := whole.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	b = engine.NewBatch(0, 0, len(text), 0)
	b.Tokens = swapped
	if slices.Equal(last(whole, b), got) {
		t.Error("the order of the rows does not matter")
	}
}

// Images that nobody uses are forgotten beyond a bound; those in use never are, and the same
// image has the same tokens again.
func TestProjectorKeeps(t *testing.T) {
	_, _, s, p := projectorOf(t, "mlp", engine.ProjectorOptions{Bytes: 10000}) // two images of 16 rows
	encoded := 0
	want := func(name string) ([]int32, func()) {
		t.Helper()
		ids, release, err := p.Use(t.Context(), []byte(name), func() (engine.Pixels, error) {
			encoded++
			return pixelsOf(32, 32), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, release
	}
	first, release := want("0")
	for i := range 4 {
		_, release := want(fmt.Sprint(i + 1))
		release()
	}
	again, release2 := want("0")
	release2()
	if encoded != 5 || !slices.Equal(first, again) {
		t.Errorf("%d images encoded", encoded)
	}
	release()
	release() // twice is once
	for i := range 4 {
		_, release := want(fmt.Sprint(i + 1))
		release()
	}
	b := engine.NewBatch(0, 0, 1, 0)
	b.Tokens = first[:1]
	if _, err := s.Forward(b); err == nil || !strings.Contains(err.Error(), "send it again") {
		t.Errorf("an image that was forgotten: %v", err)
	}
	if again, _ = want("0"); !slices.Equal(first, again) {
		t.Error("the same image has other tokens")
	}
}

// While those in use take too much no other is encoded, but one that is there is used by more.
func TestProjectorInUse(t *testing.T) {
	_, _, _, p := projectorOf(t, "mlp", engine.ProjectorOptions{Used: 5000}) // two images of 16 rows take more
	try := func(name string, want error) (release func()) {
		t.Helper()
		_, release, err := p.Use(t.Context(), []byte(name), func() (engine.Pixels, error) { return pixelsOf(32, 32), nil })
		if !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", name, err, want)
		}
		return release
	}
	first, second := try("1", nil), try("2", nil)
	try("3", engine.ErrImagesInUse)
	again := try("1", nil)
	first()
	try("3", engine.ErrImagesInUse)
	again()
	third := try("3", nil)
	try("1", nil)() // it is there still
	second()
	third()
}

func TestProjectorRefuses(t *testing.T) {
	_, _, s, p := projectorOf(t, "mlp", engine.ProjectorOptions{})
	dir := t.TempDir()
	wide, text := filepath.Join(dir, "wide.gguf"), filepath.Join(dir, "text.gguf")
	if err := errors.Join(synth.WriteProjector(t.Context(), synth.TinyProjector("mlp", 96), wide, 1), os.WriteFile(text, []byte("no GGUF"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		wide: "mismatch between text model (n_embd = 64) and mmproj (n_embd = 96)", text: "no projector", filepath.Join(dir, "none"): "no such file",
	} {
		if _, err := engine.OpenProjector(path, s, engine.ProjectorOptions{Threads: 1}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, want)
		}
	}
	broken := errors.New("broken")
	if _, _, err := p.Use(t.Context(), []byte("b"), func() (engine.Pixels, error) { return engine.Pixels{}, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Use(over, []byte("c"), func() (engine.Pixels, error) { return pixelsOf(32, 32), nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// encodeImage computes the rows of an image as large as the encoder's, in float64.
func encodeImage(t *testing.T, path string, s synth.ProjectorShape, px engine.Pixels) (rows [][]float32) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	load := func(name string) []float64 {
		tensor, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		raw := make([]byte, tensor.Size)
		if _, err := f.Data(tensor).ReadAt(raw, 0); err != nil {
			t.Fatal(err)
		}
		out := make([]float64, tensor.Size/4)
		for i := range out {
			out[i] = float64(math.Float32frombits(uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24))
		}
		return out
	}
	// linear is w x + b, where w has a row an output.
	linear := func(name string, x []float64, bias bool) []float64 {
		w := load(name + ".weight")
		out := make([]float64, len(w)/len(x))
		if bias {
			copy(out, load(name+".bias"))
		}
		for o := range out {
			for i, v := range x {
				out[o] += w[o*len(x)+i] * v
			}
		}
		return out
	}
	norm := func(name string, x []float64) []float64 {
		w, b := load(name+".weight"), load(name+".bias")
		var mean, square float64
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			square += (v - mean) * (v - mean) / float64(len(x))
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = (v-mean)/math.Sqrt(square+1e-5)*w[i] + b[i]
		}
		return out
	}
	gelu := func(x []float64) []float64 {
		for i, v := range x {
			x[i] = 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		}
		return x
	}
	add := func(x, y []float64) []float64 {
		for i := range x {
			x[i] += y[i]
		}
		return x
	}
	mean, std := []float64{0.5, 0.4, 0.3}, []float64{0.25, 0.5, 0.4}
	side := s.Image / s.Patch
	positions := load("v.position_embd.weight")
	var x [][]float64
	for n := range side * side {
		var patch []float64 // by channel, line, column
		for c := range 3 {
			for dy := range s.Patch {
				for dx := range s.Patch {
					at := 3*((n/side*s.Patch+dy)*px.Width+n%side*s.Patch+dx) + c
					patch = append(patch, (float64(px.RGB[at])/255-mean[c])/std[c])
				}
			}
		}
		x = append(x, add(linear("v.patch_embd", patch, true), positions[n*s.Embedding:(n+1)*s.Embedding]))
	}
	blocks := s.Blocks
	if s.Kind == "mlp" {
		blocks-- // LLaVA takes what is before the last
	}
	for i := range blocks {
		blk := fmt.Sprintf("v.blk.%d.", i)
		var q, k, v [][]float64
		for _, r := range x {
			h := norm(blk+"ln1", r)
			q, k, v = append(q, linear(blk+"attn_q", h, true)), append(k, linear(blk+"attn_k", h, true)), append(v, linear(blk+"attn_v", h, true))
		}
		size := s.Embedding / s.Heads
		for n := range x {
			mixed := make([]float64, s.Embedding)
			for head := range s.Heads {
				from, to := head*size, (head+1)*size
				weights, total := make([]float64, len(x)), 0.0
				for m := range x {
					dot := 0.0
					for d := from; d < to; d++ {
						dot += q[n][d] * k[m][d]
					}
					weights[m] = math.Exp(dot / math.Sqrt(float64(size)))
					total += weights[m]
				}
				for m := range x {
					for d := from; d < to; d++ {
						mixed[d] += weights[m] / total * v[m][d]
					}
				}
			}
			x[n] = add(linear(blk+"attn_out", mixed, true), x[n])
			x[n] = add(linear(blk+"ffn_down", gelu(linear(blk+"ffn_up", norm(blk+"ln2", x[n]), true)), true), x[n])
		}
	}
	for n := range x {
		x[n] = norm("v.post_ln", x[n])
	}
	var out [][]float64
	if s.Kind == "mlp" {
		for _, r := range x {
			out = append(out, linear("mm.2", gelu(linear("mm.0", r, true)), true))
		}
	} else {
		// Four patches that form a square become one row, in the order of reading.
		for y := 0; y < side; y += s.Scale {
			for c := 0; c < side; c += s.Scale {
				out = append(out, linear("mm.model.fc", slices.Concat(x[y*side+c], x[y*side+c+1], x[(y+1)*side+c], x[(y+1)*side+c+1]), false))
			}
		}
	}
	for _, r := range out {
		row := make([]float32, len(r))
		for i, v := range r {
			row[i] = float32(v)
		}
		rows = append(rows, row)
	}
	return rows
}
