package split

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/synth"
)

// A projector goes into the bundle unchanged; one that is another model's leaves nothing behind.
func TestSplitWithProjector(t *testing.T) {
	dir := t.TempDir()
	model, good, wide := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "mmproj.gguf"), filepath.Join(dir, "wide.gguf")
	if err := errors.Join(synth.Write(t.Context(), "tiny-vision", model, synth.Options{Seed: 1}),
		synth.WriteProjector(t.Context(), synth.TinyProjector("idefics3", 64), good, 1),
		synth.WriteProjector(t.Context(), synth.TinyProjector("idefics3", 128), wide, 1)); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "b")
	if _, err := Model(t.Context(), model, out, Options{Type: TypeKeep, Projector: wide}); err == nil || !strings.Contains(err.Error(), "give the projector of this very model") {
		t.Error(err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a bundle was left behind")
	}
	m, err := Model(t.Context(), model, out, Options{Type: TypeKeep, Projector: good})
	if err != nil {
		t.Fatal(err)
	}
	if m.Format != bundle.FormatProjector || m.Projector == nil || m.Projector.Kind != "idefics3" {
		t.Errorf("%d %+v", m.Format, m.Projector)
	}
	if err := bundle.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
	path := filepath.Join(out, bundle.ProjectorFile)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, make([]byte, m.Projector.Bytes), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := bundle.Verify(t.Context(), out); !errors.Is(err, bundle.ErrProjector) || !errors.Is(err, bundle.ErrCorrupt) {
		t.Error(err)
	}
}
