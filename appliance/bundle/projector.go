package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// ErrProjector is wrapped by errors of a projector that cannot be used: without it the bundle
// may be whole, and reads text alone.
var ErrProjector = errors.New("the projector cannot be used")

// ProjectorFile is the projector's name in a bundle.
const ProjectorFile = "projector.gguf"

// Projector describes what turns images into input embeddings of the bundle's model: an
// encoder and a projector in one file, as llama.cpp has them (mmproj), unchanged.
type Projector struct {
	File      string         `json:"file"`
	Bytes     int64          `json:"bytes"`
	SHA256    string         `json:"sha256"`
	Source    string         `json:"source"` // base name of the file it was made of
	Kind      string         `json:"kind"`   // as clip.projector_type names it
	Image     int            `json:"image"`  // pixels a side
	Patch     int            `json:"patch"`  // pixels a side
	Blocks    int            `json:"blocks"`
	Embedding int            `json:"n_embd"` // of the encoder
	Rows      int            `json:"rows"`   // of an image that is taken as a whole
	Tensors   map[string]int `json:"tensor_types"`
}

// UnmarshalJSON ignores fields that are not known.
func (p *Projector) UnmarshalJSON(b []byte) error {
	type plain Projector
	return json.Unmarshal(b, (*plain)(p))
}

// Kinds of projectors that are admitted: those whose rows take the positions of a text and are
// attended as a text is, and that were compared with a computation of their own.
const (
	projectorMLP      = "mlp"
	projectorIdefics3 = "idefics3"
)

// notAdmitted says why other kinds are not.
var notAdmitted = map[string]string{
	"qwen2vl_merger":   mropePositions,
	"qwen2.5vl_merger": mropePositions,
	"qwen2.5o":         mropePositions,
	"qwen3vl_merger":   mropePositions,
	"glm4v":            mropePositions,
	"gemma3":           "the rows of an image are attended in both directions, and a split model attends backwards alone",
}

const mropePositions = "the rows of an image have positions in four dimensions (M-RoPE), and a split model has one"

// maxImage bounds an encoder's picture, in pixels a side, and maxParts how many of them a
// larger image is cut into along one.
const (
	maxImage = 4096
	maxParts = 8
)

// OpenProjector opens and checks the projector at path for a model of a width. The entry that it
// returns lacks the sha256.
func OpenProjector(path string, width int) (*gguf.File, *Projector, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, nil, err
	}
	p, err := CheckProjector(f, width)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, p, nil
}

// CheckProjector checks that a file is a projector which can be used for a model of a width:
// llama.cpp's own code ends the process where a number or a tensor is not what it expects.
func CheckProjector(f *gguf.File, width int) (*Projector, error) {
	k := &projectorKeys{f: f}
	p, err := k.read(width)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return p, nil
}

// projectorKeys reads a projector's metadata. The first error is kept.
type projectorKeys struct {
	f   *gguf.File
	err error
}

func (k *projectorKeys) text(key string) string {
	kv, _ := k.f.KV(key)
	s, _ := kv.Text()
	return s
}

func (k *projectorKeys) flag(key string) bool {
	kv, _ := k.f.KV(key)
	v, _ := kv.Bool()
	return v
}

// count is a whole number from 1 to most.
func (k *projectorKeys) count(key string, most int) int {
	kv, ok := k.f.KV("clip.vision." + key)
	n, is := kv.Uint32()
	if (!ok || !is || n < 1 || int64(n) > int64(most)) && k.err == nil {
		k.err = fmt.Errorf("clip.vision.%s is missing or not 1 to %d: the file is corrupt, fetch it anew", key, most)
	}
	return int(n)
}

// colours are three numbers.
func (k *projectorKeys) colours(key string, zero bool) {
	kv, _ := k.f.KV("clip.vision." + key)
	n := 0
	for _, v := range kv.Float32s() {
		if n++; v != v || v < -1000 || v > 1000 || v == 0 && !zero {
			n = -1
			break
		}
	}
	if (kv.Kind != gguf.Array || kv.Elem != gguf.Float32 || n < 3) && k.err == nil {
		k.err = fmt.Errorf("clip.vision.%s has to be three numbers: the file is corrupt, fetch it anew", key)
	}
}

func (k *projectorKeys) read(width int) (*Projector, error) {
	if arch := k.text("general.architecture"); arch != "clip" {
		return nil, fmt.Errorf("it is %w: a projector has architecture clip, this file %q: give the model's mmproj file", ErrUnsupported, gguf.Short(arch))
	}
	kind := k.text("clip.projector_type")
	if kind == "" {
		kind = k.text("clip.vision.projector_type")
	}
	if kind == "" {
		kind = projectorMLP // as llama.cpp takes it
	}
	if !k.flag("clip.has_vision_encoder") || k.flag("clip.has_audio_encoder") {
		return nil, fmt.Errorf("it is %w: it is not for images alone: give a projector for images", ErrUnsupported)
	}
	if kind != projectorMLP && kind != projectorIdefics3 {
		why := notAdmitted[kind]
		if why == "" {
			why = "it was not tried"
		}
		return nil, fmt.Errorf("a projector of kind %q is %w: %s: take a model whose projector is of kind %s or %s", gguf.Short(kind), ErrUnsupported, why, projectorMLP, projectorIdefics3)
	}
	for _, key := range []string{"image_grid_pinpoints", "feature_layer"} {
		if _, there := k.f.KV("clip.vision." + key); there {
			return nil, fmt.Errorf("a projector with clip.vision.%s is %w: it was not tried: take another model", key, ErrUnsupported)
		}
	}
	p := &Projector{
		File: ProjectorFile, Bytes: k.f.Size, Source: filepath.Base(k.f.Name), Kind: kind, Tensors: TensorTypes(k.f),
		Image: k.count("image_size", maxImage), Patch: k.count("patch_size", maxImage), Blocks: k.count("block_count", maxBlocks), Embedding: k.count("embedding_length", maxWidth),
	}
	forward, heads := k.count("feed_forward_length", maxWidth*8), k.count("attention.head_count", maxWidth)
	k.colours("image_mean", true)
	k.colours("image_std", false)
	scale := 1
	if kind == projectorIdefics3 {
		scale = k.count("projector.scale_factor", 64)
		if longest := k.count("preproc_image_size", maxImage*maxParts); k.err == nil && (longest < p.Image || longest > maxParts*p.Image) {
			k.err = fmt.Errorf("clip.vision.preproc_image_size is %d, and an image is %d: it has to be 1 to %d of them", longest, p.Image, maxParts)
		}
	}
	if eps, _ := k.f.KV("clip.vision.attention.layer_norm_epsilon"); k.err == nil {
		if v, ok := eps.Float32(); !ok || !(v > 0 && v < 1) {
			k.err = errors.New("clip.vision.attention.layer_norm_epsilon is missing or impossible: the file is corrupt, fetch it anew")
		}
	}
	if k.err != nil {
		return nil, k.err
	}
	if p.Patch > p.Image || p.Embedding%heads != 0 || kind == projectorIdefics3 && (scale < 2 || p.Image%p.Patch != 0 || p.Image/p.Patch%scale != 0) || p.Blocks < 2 {
		return nil, errors.New("its sizes do not fit one another: the file is corrupt, fetch it anew")
	}
	side := p.Image / p.Patch
	p.Rows = side * side / (scale * scale)
	return p, p.checkTensors(k.f, forward, scale, width)
}

// checkTensors compares the tensors with the sizes: each that is there has to be known, and of
// the shape that the graph multiplies.
func (p *Projector) checkTensors(f *gguf.File, forward, scale, width int) error {
	e, w := int64(p.Embedding), int64(forward)
	side := int64(p.Image / p.Patch)
	positions := side * side
	if _, ok := f.Tensor("v.class_embd"); ok && p.Kind == projectorMLP {
		positions++
	}
	up, down := []int64{e, w}, []int64{w, e}
	block := map[string][]int64{
		"ln1.weight": {e}, "ln1.bias": {e}, "ln2.weight": {e}, "ln2.bias": {e},
		"ffn_up.weight": up, "ffn_up.bias": {w}, "ffn_down.weight": down, "ffn_down.bias": {e},
	}
	for _, n := range []string{"attn_q", "attn_k", "attn_v", "attn_out"} {
		block[n+".weight"], block[n+".bias"] = []int64{e, e}, []int64{e}
	}
	if t, ok := f.Tensor("v.blk.0.ffn_down.weight"); ok && w != e && t.Cols() == e { // older files have the two names exchanged
		block["ffn_up.weight"], block["ffn_down.weight"] = down, up
		block["ffn_up.bias"], block["ffn_down.bias"] = []int64{e}, []int64{w}
	}
	known := map[string][]int64{
		"v.patch_embd.weight": {int64(p.Patch), int64(p.Patch), 3, e}, "v.patch_embd.bias": {e},
		"v.position_embd.weight": {e, positions},
		"v.pre_ln.weight":        {e}, "v.pre_ln.bias": {e}, "v.post_ln.weight": {e}, "v.post_ln.bias": {e},
	}
	wanted := []string{"v.patch_embd.weight", "v.position_embd.weight"}
	out := int64(width)
	if p.Kind == projectorIdefics3 {
		known["mm.model.fc.weight"] = []int64{e * int64(scale*scale), out}
		wanted = append(wanted, "mm.model.fc.weight", "v.post_ln.weight")
	} else {
		hidden := out
		if t, ok := f.Tensor("mm.0.weight"); ok {
			hidden = t.Rows()
		}
		known["v.class_embd"], known["model.image_newline"] = []int64{e}, []int64{out}
		known["mm.0.weight"], known["mm.0.bias"] = []int64{e, hidden}, []int64{hidden}
		known["mm.2.weight"], known["mm.2.bias"] = []int64{hidden, out}, []int64{out}
		wanted = append(wanted, "mm.0.weight", "mm.0.bias", "mm.2.weight", "mm.2.bias")
	}
	for i := range p.Blocks {
		for n, dims := range block {
			known[fmt.Sprintf("v.blk.%d.%s", i, n)] = dims
			if strings.HasSuffix(n, ".weight") {
				wanted = append(wanted, fmt.Sprintf("v.blk.%d.%s", i, n))
			}
		}
	}
	for _, t := range f.Tensors {
		dims, ok := known[t.Name]
		if !ok {
			return fmt.Errorf("its tensor %s is none that projectors of kind %s have here: it is %w", gguf.Short(t.Name), p.Kind, ErrUnsupported)
		}
		if !slices.Equal(trimmed(t.Dims), trimmed(dims)) {
			return fmt.Errorf("its tensor %s has shape %v, %v is needed, for a model of width %d: give the projector of this very model", gguf.Short(t.Name), t.Dims, dims, width)
		}
		if !p.typed(t) {
			return fmt.Errorf("its tensor %s is of type %s, which is %w there: convert the projector anew, as f16", gguf.Short(t.Name), t.Type, ErrUnsupported)
		}
	}
	for _, n := range wanted {
		if _, ok := f.Tensor(n); !ok {
			return fmt.Errorf("it has no tensor %s: the file is not whole, fetch it anew", n)
		}
	}
	return nil
}

// trimmed are dimensions without those of 1 at the end.
func trimmed(dims []int64) []int64 {
	for len(dims) > 1 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}

// typed says whether a tensor's type is one that the graph takes where it stands.
func (p *Projector) typed(t gguf.Tensor) bool {
	switch {
	case t.Type == gguf.F32:
		return true
	case t.Name == "v.patch_embd.weight", t.Name == "v.position_embd.weight" && p.Kind == projectorMLP:
		return t.Type == gguf.F16
	case t.Name == "v.position_embd.weight", len(trimmed(t.Dims)) == 1:
		return false
	}
	return t.Type.Matmul()
}

func (m *Manifest) validateProjector() error {
	p := m.Projector
	if p == nil {
		return nil
	}
	if m.Format < FormatProjector {
		return fmt.Errorf("a manifest of format %d has no projector", m.Format)
	}
	if p.File != ProjectorFile || p.Bytes < 1 || !isSHA256(p.SHA256) {
		return errors.New("the projector's file is not named as it has to be")
	}
	if p.Kind != projectorMLP && p.Kind != projectorIdefics3 {
		return fmt.Errorf("a projector of kind %q is not supported", gguf.Short(p.Kind))
	}
	if p.Image < 1 || p.Image > maxImage || p.Patch < 1 || p.Patch > p.Image || p.Blocks < 1 || p.Blocks > maxBlocks || p.Embedding < 1 || p.Embedding > maxWidth || p.Rows < 1 || p.Rows > maxImage*maxImage {
		return errors.New("the projector's sizes are out of range")
	}
	return nil
}

// ProjectorPath is the projector's file.
func (b *Bundle) ProjectorPath() string { return filepath.Join(b.Dir, ProjectorFile) }

// VerifyProjector checks the projector's file against the manifest. Errors wrap ErrProjector, and
// ErrMissing or ErrCorrupt, or are the context's.
func (b *Bundle) VerifyProjector(ctx context.Context) error {
	p := b.Manifest.Projector
	if p == nil {
		return fmt.Errorf("%w: %s has none, it is %w: split the model again with --projector MMPROJ", ErrProjector, b.Dir, ErrMissing)
	}
	path := b.ProjectorPath()
	same, err := holds(ctx, path, p.Bytes, p.SHA256)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is %w: copy it there, or split the model again with --projector MMPROJ", ErrProjector, path, ErrMissing)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrProjector, err)
	case !same:
		return fmt.Errorf("%w: %s is %w: its sha256 is not the manifest's: copy it anew, or split the model again with --projector MMPROJ", ErrProjector, path, ErrCorrupt)
	}
	f, _, err := OpenProjector(path, b.Manifest.Embedding)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProjector, err)
	}
	return f.Close()
}
