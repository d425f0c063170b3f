package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What a spectrum says of a row at any temperature is what its logits say, whether the mass
// lies in a few of them or in a long tail.
func TestSpectrumStandsForItsRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for name, scale := range map[string]float64{"flat": 0.5, "usual": 3, "sharp": 8} {
		row := make([]float32, 50_000)
		best := 0
		for i := range row {
			row[i] = float32(scale * r.NormFloat64())
			if row[i] > row[best] {
				best = i
			}
		}
		want := best / 2
		d := &document{}
		d.addStates(spectrumOf(row, want))
		kept := make([]float32, spectrumWidth)
		d.stream(0, 0, 0, kept)
		for _, temperature := range []float64{0.5, 1, 2} {
			z := 0.0
			for _, v := range row {
				z += math.Exp((float64(v) - float64(row[best])) / temperature)
			}
			if got := partition(kept, temperature); math.Abs(got/z-1) > 0.03 {
				t.Errorf("%s at %g: %g, want %g", name, temperature, got, z)
			}
		}
		if gap := float64(row[best] - row[want]); math.Abs(float64(kept[0])/gap-1) > 0.01 {
			t.Errorf("%s: the wanted token lies %g below, want %g", name, kept[0], gap)
		}
	}
	if c := 1 / partition(silence(), 1); c > 1e-9 {
		t.Errorf("who says nothing is sure of it by %g", c)
	}
	if s := spectrumOf([]float32{1, 2}, 5); s[0] != noDistance {
		t.Errorf("a token that cannot be said lies %g below", s[0])
	}
}
