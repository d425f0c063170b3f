package bundle

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

// rewritten is a projector with other metadata: entries that have the same key are replaced,
// and those named in without left out.
func rewritten(t *testing.T, kind string, without []string, kvs ...gguf.KV) string {
	t.Helper()
	src := filepath.Join(t.TempDir(), "mmproj.gguf")
	if err := synth.WriteProjector(t.Context(), synth.TinyProjector(kind, 64), src, 1); err != nil {
		t.Fatal(err)
	}
	return bundletest.Edit(t, src, func(old []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		outs = slices.DeleteFunc(outs, func(o gguf.Out) bool { return slices.Contains(without, o.Name) })
		return bundletest.Without(bundletest.Set(old, kvs...), without...), outs
	})
}

func TestCheckProjector(t *testing.T) {
	for kind, rows := range map[string]int{"mlp": 16, "idefics3": 4} {
		f, p, err := OpenProjector(rewritten(t, kind, nil), 64)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if p.Kind != kind || p.Rows != rows || p.Image != 32 || p.Blocks != 3 || p.Embedding != 32 || !strings.HasSuffix(p.Source, ".gguf") {
			t.Errorf("%+v", p)
		}
	}
	const v = "clip.vision."
	for _, c := range []struct {
		kind    string
		width   int
		without []string
		kv      []gguf.KV
		want    string
	}{
		{kind: "mlp", width: 96, want: "mm.2.weight has shape [64 64], [64 96] is needed"},
		{kind: "mlp", kv: []gguf.KV{gguf.StringKV("clip.projector_type", "qwen2.5vl_merger")}, want: "M-RoPE"},
		{kind: "mlp", kv: []gguf.KV{gguf.StringKV("clip.projector_type", "gemma3")}, want: "both directions"},
		{kind: "mlp", kv: []gguf.KV{gguf.StringKV("clip.projector_type", "pixtral")}, want: `"pixtral" is not supported: it was not tried: take a model whose projector is of kind mlp or idefics3`},
		{kind: "mlp", kv: []gguf.KV{gguf.StringKV("general.architecture", "llama")}, want: "give the model's mmproj file"},
		{kind: "mlp", kv: []gguf.KV{gguf.BoolKV("clip.has_audio_encoder", true)}, want: "not for images alone"},
		{kind: "mlp", kv: []gguf.KV{gguf.Int32sKV(v+"image_grid_pinpoints", []int32{1, 2})}, want: "image_grid_pinpoints is not supported"},
		{kind: "mlp", kv: []gguf.KV{gguf.Uint32KV(v+"attention.head_count", 5)}, want: "do not fit"},
		{kind: "mlp", kv: []gguf.KV{gguf.Uint32KV(v+"patch_size", 0)}, want: "patch_size is missing or not"},
		{kind: "mlp", kv: []gguf.KV{gguf.Float32sKV(v+"image_std", []float32{1, 0, 1})}, want: "image_std has to be three numbers"},
		{kind: "mlp", without: []string{v + "image_mean"}, want: "image_mean has to be three numbers"},
		{kind: "mlp", without: []string{"v.blk.1.ln2.weight"}, want: "no tensor v.blk.1.ln2.weight"},
		{kind: "mlp", kv: []gguf.KV{gguf.Uint32KV(v+"image_size", 40)}, want: "v.position_embd.weight has shape"},
		{kind: "idefics3", kv: []gguf.KV{gguf.Uint32KV(v+"projector.scale_factor", 3)}, want: "do not fit"},
		{kind: "idefics3", kv: []gguf.KV{gguf.Uint32KV(v+"preproc_image_size", 100000)}, want: "preproc_image_size"},
		{kind: "idefics3", kv: []gguf.KV{gguf.StringKV("clip.projector_type", "mlp")}, want: "mm.model.fc.weight is none that projectors of kind mlp have"},
	} {
		if c.width == 0 {
			c.width = 64
		}
		_, _, err := OpenProjector(rewritten(t, c.kind, c.without, c.kv...), c.width)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestManifestWithProjector(t *testing.T) {
	s, err := synth.ShapeNamed("tiny")
	if err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("0a", 32)
	m := &Manifest{Format: Format, Name: "m", Source: Source{SHA256: sum}, Architecture: s.Architecture, Blocks: s.Blocks, Exits: []int{2},
		Embedding: s.Embedding, Vocab: s.Vocab, ContextLength: s.Context, WholeBytes: 1, Stages: StagesOf([]int{2}, s.Blocks), Heads: []Head{{Exit: 2, Kind: HeadModel}}}
	for i, st := range m.Stages {
		m.Stages[i].File, m.Stages[i].Bytes, m.Stages[i].SHA256 = st.Role.File(), 1, sum
	}
	id := m.ID()
	m.Projector = &Projector{File: ProjectorFile, Bytes: 9, SHA256: m.Source.SHA256, Kind: "mlp", Image: 32, Patch: 8, Blocks: 3, Embedding: 32, Rows: 16}
	if err := m.validate(); err == nil || !strings.Contains(err.Error(), "format 1 has no projector") {
		t.Error(err)
	}
	m.Format = FormatProjector
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseManifest(text)
	if err != nil || again.Projector == nil || again.Projector.Rows != 16 || again.ID() != id {
		t.Errorf("%+v %v: a projector is the board's alone, and a cloud works with it as without", again, err)
	}
	b := Bundle{t.TempDir(), m}
	if err := b.VerifyProjector(t.Context()); !errors.Is(err, ErrProjector) || !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	m.Projector.Kind = "gemma3"
	if err := m.validate(); err == nil {
		t.Error("a kind that is not admitted passes")
	}
}
