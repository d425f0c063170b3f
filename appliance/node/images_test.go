package node

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// seeingBundle is a bundle of a model of random weights with a projector of random weights.
func seeingBundle(t *testing.T) (dir string, m *bundle.Manifest) {
	t.Helper()
	dir, projector := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "mmproj.gguf")
	if err := synth.WriteProjector(t.Context(), synth.TinyProjector("idefics3", 64), projector, 7); err != nil {
		t.Fatal(err)
	}
	m, err := split.Model(t.Context(), bundletest.Synth(t, "tiny-vision", split.TypeQ4_0), dir, split.Options{Exits: []int{2, 4}, Type: split.TypeKeep, Projector: projector})
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

// pngOf is a picture that differs by its shade.
func pngOf(t *testing.T, shade int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 50, 40))
	for i := range 50 * 40 {
		x, y := i%50, i/50
		m.Set(x, y, color.RGBA{uint8(7*x + 3*y), uint8(x*y + shade), uint8(255 - 5*x), 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// loadSeeing loads a bundle in a mode, with a link or without.
func loadSeeing(t *testing.T, dir string, mode infer.Mode, link *cloudLink) (*loader, *server.Model) {
	t.Helper()
	conf := config.Default()
	conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Parallel, conf.Cache = dir, string(mode), 256, 1, 1, 0
	l := &loader{conf: conf, state: t.TempDir(), root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)}
	if link != nil {
		l.withLink(link, func() {})
	}
	m, err := l.Load(t.Context(), infer.Model{}, func(status.State, status.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	t.Cleanup(func() { m.Slots.Close() })
	return l, m
}

// answers are the tokens after a prompt with a picture in it.
func answers(t *testing.T, m *server.Model, data []byte, o decode.Options) (ids []int32) {
	t.Helper()
	rows, release, err := m.Images.Use(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	prompt := slices.Concat([]int32{3, 4, 5}, rows, []int32{6, 7, 3, 4, 5})
	slot, err := m.Slots.Acquire(t.Context(), batch.Ask{Client: "c", Prompt: prompt})
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	o.OnLoss, o.MaxTokens, o.IgnoreEnd = infer.AwaitCloud, 16, true
	a, err := slot.Generate(t.Context(), prompt, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range a.Tokens {
		ids = append(ids, tok.ID)
	}
	return ids
}

// A model with a projector answers to a picture: the whole model, and a board whose cloud is
// sent hidden states alone, say the same of it, with penalties and without; another picture is
// answered otherwise.
func TestImagesAreAnswered(t *testing.T) {
	dir, man := seeingBundle(t)
	l, whole := loadSeeing(t, dir, decode.Unsplit, nil)
	if !whole.Info.Vision || l.loaded.plan.Bytes <= encoderScratch {
		t.Errorf("vision %v, planned for %d bytes", whole.Info.Vision, l.loaded.plan.Bytes)
	}
	state, addr := serveBundle(t, dir, wire.Hash(man.ID()), true)
	link, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", State: state}, nodetest.OpenDB(t, state), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.close)
	link.may = trust.Text // which a board with a projector makes no use of
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := link.Await(ctx); err != nil {
		t.Fatal(err)
	}
	lb, board := loadSeeing(t, dir, decode.Collaborative, link)
	if lb.loaded.tokens || !board.Info.Vision {
		t.Errorf("token ids go up: %v, vision %v", lb.loaded.tokens, board.Info.Vision)
	}
	one, other := pngOf(t, 0), pngOf(t, 100)
	seen := false
	for _, s := range []infer.Sampling{{}, {Repeat: 1.3, Frequency: 0.5, PenaltyLast: 64}} {
		want := answers(t, whole, one, decode.Options{Mode: decode.Unsplit, Sampling: s})
		got := answers(t, whole, other, decode.Options{Mode: decode.Unsplit, Sampling: s})
		if seen = seen || !slices.Equal(got, want); slices.ContainsFunc(got, engine.IsImageToken) {
			t.Errorf("an image is said: %v", got)
		}
		if got := answers(t, whole, one, decode.Options{Mode: decode.Unsplit, Sampling: s, Draft: infer.DraftOff}); !slices.Equal(got, want) {
			t.Errorf("without drafts %v, want %v", got, want)
		}
		if got := answers(t, board, one, decode.Options{Mode: decode.Collaborative, Sampling: s, Thresholds: []float64{1.1}}); !slices.Equal(got, want) {
			t.Errorf("before a cloud %v, want %v", got, want)
		}
	}
	if !seen {
		t.Error("another picture makes no difference")
	}
}

// Images for which there is no memory at present may be sent again.
func TestImagesInUseAreBusy(t *testing.T) {
	said := new(infer.Error)
	if err := imageError(nil, engine.ErrImagesInUse); !errors.As(err, &said) || said.Code != infer.Busy || said.RetryAfter == 0 || !strings.Contains(said.Message, "ask again") {
		t.Error(err)
	}
}

// Where there is no projector, or it is damaged, or the board computes no block of the model, the
// rest of the bundle is served, and it is said why no image is read.
func TestImagesAreNotRead(t *testing.T) {
	dir, man := seeingBundle(t)
	if !describeBundle(dir, man).Vision {
		t.Error("a bundle with a projector is listed as one that reads no images")
	}
	_, m := loadSeeing(t, dir, decode.Unsplit, nil)
	_, _, err := m.Images.Use(t.Context(), []byte("no picture"))
	if said := new(infer.Error); !errors.As(err, &said) || said.Code != infer.BadRequest {
		t.Errorf("%v", err)
	}
	path := (&bundle.Bundle{Dir: dir, Manifest: man}).ProjectorPath()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, make([]byte, man.Projector.Bytes), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, m := loadSeeing(t, dir, decode.Unsplit, nil); m.Images != nil || m.Info.Vision || !strings.Contains(m.NoImages, "sha256") {
		t.Errorf("a damaged projector: %q", m.NoImages)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if describeBundle(dir, man).Vision {
		t.Error("a bundle without its projector is listed as one that reads images")
	}
	if _, m := loadSeeing(t, dir, decode.Unsplit, nil); m.Images != nil || !strings.Contains(m.NoImages, "missing") {
		t.Errorf("a missing projector: %q", m.NoImages)
	}
}
