package node

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/chat/template"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// describe is the model for clients and for the status.
func (o *opening) describe(t *template.Template) (infer.Model, status.Model) {
	man := o.bundle.Manifest
	info := describeBundle(o.bundle.Dir, man)
	info.Loaded, info.Context, info.Template = true, o.plan.Context, o.model.Vocab.Template()
	info.Tools = t != nil && t.KnowsTools()
	_, err := o.model.Embeds()
	info.Embeds = err == nil
	st := status.Model{
		Name: man.Name, Bundle: info.Digest, Architecture: man.Architecture, Quantization: info.Quantization, Blocks: man.Blocks,
		Stages: o.places(), Exits: o.exits(), Draft: o.draft(), ExitsWorth: o.exitsWorth(), Alone: o.alone(), Context: o.plan.Context, Parallel: o.plan.Parallel,
	}
	for _, s := range o.stages {
		m := s.Memory()
		st.WeightBytes += m.Weights
		st.KVBytes += m.KV
	}
	st.GPULayers, st.GPUBytes = o.onGPU()
	info.LoadedBytes = st.WeightBytes + st.KVBytes
	return info, st
}

// onGPU says how many layers of the stages are on the GPU, with why where they are fewer than
// were wanted, and what they take.
func (o *opening) onGPU() (says string, bytes int64) {
	name, _ := engine.DeviceName()
	if name == "" || o.loader.conf.GPULayers == 0 {
		return "", 0
	}
	layers, all, why := 0, 0, ""
	for _, s := range o.stages {
		p := s.Placement()
		layers, all, bytes = layers+p.Blocks, all+s.Blocks(), bytes+p.Bytes
		why = cmp.Or(why, p.Why)
	}
	says = fmt.Sprintf("%d of %s", layers, status.Plural(all, "block"))
	if why != "" {
		says += ": " + why
	}
	return says, bytes
}

// draft is the draft model, with the threshold in force; of two the second is its.
func (o *opening) draft() *status.Draft {
	d := o.bundle.Manifest.Draft
	if o.model.Draft == nil {
		return nil
	}
	st := &status.Draft{Name: d.Name, Bytes: d.Bytes, Threshold: cmp.Or(d.Threshold, decode.DraftThreshold), Measured: d.Threshold > 0}
	if t := o.loader.conf.Threshold; len(t) > 0 {
		st.Threshold = t[len(t)-1]
	}
	return st
}

// places are the stages and where each is computed; none where a draft model speaks alone.
func (o *opening) places() (stages []status.Stage) {
	if o.model.Draft != nil && len(o.model.Exits) == 0 {
		return nil
	}
	for _, s := range o.bundle.Manifest.Stages {
		if (s.Role == bundle.Unsplit) != (o.mode == decode.Unsplit) || s.Role == bundle.Board2 && !slices.Contains(o.roles, s.Role) {
			continue
		}
		where := "board"
		if o.tokens {
			where = "cloud"
		}
		if s.Role == bundle.Cloud {
			where = "nobody"
			if decode.NeedsCloud(o.mode) {
				where = "cloud"
			}
		}
		stages = append(stages, status.Stage{From: s.From, To: s.To, Where: where, Bytes: s.Bytes})
	}
	return stages
}

// exits with the thresholds in force.
func (o *opening) exits() (exits []status.Exit) {
	if o.model.Draft != nil && o.mode != decode.Unsplit { // which is asked in their place
		return nil
	}
	for i, h := range o.bundle.Manifest.Heads {
		if o.mode != decode.Unsplit && i == len(o.model.Exits) { // its stage is not loaded
			break
		}
		e := status.Exit{Block: h.Exit, Threshold: h.Threshold, Calibrated: h.Threshold > 0}
		if e.Calibrated {
			e.Agreement = h.ThresholdAgreement()
		} else {
			e.Threshold = decode.DefaultThreshold
		}
		if t := o.loader.conf.Threshold; len(t) > 0 {
			e.Threshold = t[min(i, len(t)-1)]
		}
		exits = append(exits, e)
	}
	return exits
}

// describeBundle is what a bundle says of its model, loaded or not.
func describeBundle(dir string, m *bundle.Manifest) infer.Model {
	a := infer.Model{
		Name: m.Name, Digest: BundleID(m), Path: dir, Architecture: m.Architecture, Quantization: quantization(m), Bytes: m.WholeBytes,
		Context: m.ContextLength, Trained: m.ContextLength, Embedding: m.Embedding, Blocks: m.Blocks, Exits: m.Exits,
	}
	if st, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); err == nil {
		a.Modified = st.ModTime().UTC()
	}
	a.Vision = readsImages(dir, m)
	h := headersOf(&bundle.Bundle{Dir: dir, Manifest: m}, a.Modified)
	a.Parameters, a.Licence, a.Template, a.Tools = h.parameters, h.licence, h.template, h.tools
	return a
}

// headers are what the headers of a bundle's stages say.
type headers struct {
	parameters int64
	licence    string
	template   string
	tools      bool
}

// readHeaders keeps the headers of the bundles that were described, by directory and when they
// were made: lists of models are asked for with every request, and the headers have the whole
// vocabulary.
var readHeaders sync.Map

func headersOf(b *bundle.Bundle, made time.Time) headers {
	type at struct {
		dir  string
		made time.Time
	}
	if h, ok := readHeaders.Load(at{b.Dir, made}); ok {
		return h.(headers)
	}
	var h headers
	h.parameters, h.licence, h.template = countParameters(b)
	if h.template != "" {
		if t, err := template.New(h.template, "", ""); err == nil {
			h.tools = t.KnowsTools()
		}
	}
	if h.parameters > 0 { // else its files are not all there yet
		readHeaders.Store(at{b.Dir, made}, h)
	}
	return h
}

// quantization is the type of most of the model's matrices.
func quantization(m *bundle.Manifest) (name string) {
	for t, n := range m.Tensors {
		if best := m.Tensors[name]; t != "f32" && (n > best || n == best && t < name) {
			name = t
		}
	}
	return strings.ToUpper(cmp.Or(name, "f32"))
}

// countParameters counts those of the whole model, by the headers of its stages, and
// finds its licence and its chat template. An LM head that is the embedding counts once.
func countParameters(b *bundle.Bundle) (n int64, licence, template string) {
	for _, role := range []bundle.Role{bundle.Board1, bundle.Cloud} {
		f, err := gguf.Open(b.Path(role))
		if err != nil {
			continue // a board need not have them all
		}
		for _, t := range f.Tensors {
			if strings.HasPrefix(t.Name, "blk.") || role == bundle.Board1 && t.Name == "token_embd.weight" || role == bundle.Cloud && t.Name == "output_norm.weight" {
				n += t.Cols() * t.Rows()
			}
		}
		if kv, ok := f.KV("general.license"); ok {
			licence, _ = kv.Text()
		}
		if kv, ok := f.KV("tokenizer.chat_template"); ok {
			template, _ = kv.Text()
		}
		f.Close()
	}
	return n, licence, template
}
