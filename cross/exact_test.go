package cross_test

import (
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine/enginetest"
)

// A model in float32 computes the same on every processor but for the order of
// sums: where this holds, what quantized models differ by is their rounding.
func TestFloatModel(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: half a minute of emulation")
	}
	on, own := onARM(t), here(t)
	src, dir := filepath.Join(t.TempDir(), "tiny.gguf"), filepath.Join(t.TempDir(), "tiny")
	own.output(t, "model", "synth", "tiny", "--type", "f32", "-o", src)
	own.output(t, "model", "split", src, "--type", "keep", "-o", dir)
	args := []string{"--mode", "unsplit", "--raw", "--ignore-end", "--max-tokens", "12", "Hello the lighthouse"}
	want := own.say(t, dir, args...)
	for _, c := range append(armCPUs, cpu{name: "max of 256 bits", model: "max,sve-max-vq=2"}, cpu{name: "max of 512 bits", model: "max"}) {
		got := compare(on(c).say(t, dir, args...), want)
		t.Logf("%s: %v", c.name, got)
		if got.differ >= 0 || got.apart > floatApart {
			t.Errorf("%s: %v, want equal tokens with margins within %g", c.name, got, floatApart)
		}
	}
}

var prompts = []string{"What is a lighthouse for?", "Count from one to twenty."}

// TestEmulated splits the default model on imitated boards, compares the chained
// slices with the unsplit model on each, and its text with this machine's.
func TestEmulated(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: minutes of emulation")
	}
	os.Remove(tablePath) // it would be of another state
	on, own := onARM(t), here(t)
	dir := enginetest.Bundle(t).Dir
	say := func(m machine, prompt string) answer {
		return m.say(t, dir, "--mode", "unsplit", "--max-tokens", "16", prompt)
	}
	var native []answer
	for _, p := range prompts {
		native = append(native, say(own, p))
	}
	rows := make([]row, len(armCPUs))
	t.Run("cpu", func(t *testing.T) {
		for i, c := range armCPUs {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = emulate(t, on(c), dir, native)
			})
		}
	})
	report(t, native[0].Kernels, rows)
}

func emulate(t *testing.T, m machine, dir string, native []answer) row {
	r := row{cpu: m.cpu, kernels: m.wantChoice(t)}
	// The unsplit model has been requantized already, so that the slices are cut
	// and compared only.
	cut := filepath.Join(t.TempDir(), "b")
	m.output(t, "model", "split", filepath.Join(dir, bundle.Unsplit.File()), "-o", cut)
	manifest, err := bundle.ReadManifest(cut)
	if err != nil {
		t.Fatal(err)
	}
	r.parity = manifest.Parity
	if r.parity.Positions != 64 || r.parity.Kernels != m.cpu.variant {
		t.Errorf("parity %+v", r.parity)
	}
	for i, p := range prompts {
		whole := m.say(t, dir, "--mode", "unsplit", "--max-tokens", "16", p)
		r.native = append(r.native, compare(whole, native[i]))
		r.native[i].within(t, nearTie, m.cpu.name+" and this machine")
		chained := m.sayChained(t, dir, "--max-tokens", "16", p)
		r.chained = append(r.chained, compare(chained, whole))
		bound := nearTie
		if m.cpu.exact {
			bound = 0
		}
		r.chained[i].within(t, bound, m.cpu.name+", chained and unsplit")
	}
	return r
}
