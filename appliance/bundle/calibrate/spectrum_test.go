package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What a spectrum says of a row at any temperature is what its logits say, whether the mass
// lies in a few of them or in a long tail.
func TestSpectrumStandsForItsRow(t *testing.T) {
	for name, scale := range map[string]float64{"flat": 0.5, "usual": 3, "sharp": 8} {
		r := rand.New(rand.NewPCG(1, 7)) // its own for each case: maps have no order
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
	d := &document{}
	d.addStates(spectrumOf([]float32{1, 2}, 5))
	kept := make([]float32, 1)
	if d.stream(0, 0, 0, kept); kept[0] != noDistance {
		t.Errorf("a token that cannot be said lies %g below once it was kept", kept[0])
	}
}

// Logits that no token is said by, and such as are no numbers, are as far below the best as
// can be.
func TestSpectrumOfImpossibleLogits(t *testing.T) {
	row := []float32{-1e30, 3, float32(math.Inf(-1)), float32(math.NaN()), 2, -math.MaxFloat32}
	for want := range row {
		s := spectrumOf(row, want)
		if possible := want == 1 || want == 4; possible != (s[0] < noDistance) {
			t.Errorf("token %d lies %g below", want, s[0])
		}
		if p := partition(s, 1); math.Abs(p-(1+math.Exp(-1))) > 1e-6 {
			t.Errorf("the partition is %g", p)
		}
	}
	nothing := float32(math.NaN())
	if s := spectrumOf([]float32{nothing, nothing}, 0); s[0] != noDistance || math.IsNaN(partition(s, 1)) {
		t.Errorf("of no numbers: %g below, partition %g", s[0], partition(s, 1))
	}
}
