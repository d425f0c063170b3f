package calibrate

import (
	"math"
	"testing"
)

// The curve, its error and the coverage follow from what was counted.
func TestReliability(t *testing.T) {
	var r reliability
	for i := range 100 {
		r.add(0.99, i < 97)   // 97 of 100
		r.add(0.75, i < 60)   // less sure, less right
		r.add(0.2501, i < 25) // as sure as right
	}
	s := r.summary()
	if s.Tokens != 300 || math.Abs(s.Agreement-182./300) > 1e-9 || len(s.Curve) != 3 {
		t.Fatalf("%+v", s)
	}
	if want := (0.02 + 0.15 + 0.0001) / 3; math.Abs(s.CalibrationError-want) > 1e-6 {
		t.Errorf("calibration error %g, not %g", s.CalibrationError, want)
	}
	if math.Abs(s.Coverage95-1./3) > 1e-9 || s.Coverage98 != 0 {
		t.Errorf("coverage %g at 0.95 and %g at 0.98", s.Coverage95, s.Coverage98)
	}
	if b := s.Curve[1]; math.Abs(b.Confidence-0.75) > 1e-9 || b.Agreement != 0.6 || b.Tokens != 100 {
		t.Errorf("%+v", b)
	}
	if s := (&reliability{}).summary(); s.Tokens != 0 || s.CalibrationError != 0 || s.Coverage95 != 0 {
		t.Errorf("of nothing: %+v", s)
	}
	r.add(1, true) // the end of the range is in the last bin
}

// Logits that are twice too sure get a temperature of two.
func TestTemperature(t *testing.T) {
	var rows [][]float32
	var want []int
	// Of three tokens with probabilities 1/2, 1/3, 1/6 the head says twice the logits.
	for i := range 6 {
		rows = append(rows, []float32{float32(2 * math.Log(3)), float32(2 * math.Log(2)), 0})
		want = append(want, []int{0, 0, 0, 1, 1, 2}[i])
	}
	likeliest := func() float64 {
		got, err := coldest(t.Context(), func(t float64) float64 { return surprise(rows, want, t) })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := likeliest()
	if math.Abs(got-2) > 0.05 {
		t.Errorf("temperature %g", got)
	}
	for _, r := range rows {
		for i := range r {
			r[i] /= 2
		}
	}
	if got := likeliest(); math.Abs(got-1) > 0.03 {
		t.Errorf("temperature %g of what is right", got)
	}
}
