package calibrate

import (
	"math"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"

	"encoding/binary"
	"fmt"
)

// norm is the model's output norm (RMS), which every head begins with.
type norm struct {
	weight  []float32
	epsilon float64
}

func readNorm(b *bundle.Bundle) (norm, error) {
	f, err := gguf.Open(b.Path(bundle.Unsplit))
	if err != nil {
		return norm{}, err
	}
	defer f.Close()
	kv, _ := f.KV(b.Manifest.Architecture + ".attention.layer_norm_rms_epsilon")
	eps, ok := kv.Float32()
	t, found := f.Tensor("output_norm.weight")
	if !ok || !found || t.Type != gguf.F32 || t.Size != int64(4*b.Manifest.Embedding) {
		return norm{}, fmt.Errorf("%s: it has no RMS output norm: its exits cannot be fitted", f.Name)
	}
	n := norm{make([]float32, b.Manifest.Embedding), float64(eps)}
	return n, binary.Read(f.Data(t), binary.LittleEndian, n.weight)
}

// apply writes norm(h) [d] to out.
func (n norm) apply(h, out []float32) {
	sum := 0.0
	for _, v := range h {
		sum += float64(v) * float64(v)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(h))+n.epsilon))
	for i, v := range h {
		out[i] = v * scale * n.weight[i]
	}
}
