package infer

import (
	"math"
	"testing"
)

func TestUnit(t *testing.T) {
	if v, length := Unit([]float32{3, -4}); length != 5 || len(v) != 2 || v[0] != 0.6 || v[1] != -0.8 {
		t.Errorf("%v, %v", v, length)
	}
	for _, none := range [][]float64{nil, {0, 0}, {math.NaN(), 1}, {math.Inf(1)}} {
		if v, length := Unit(none); v != nil {
			t.Errorf("%v of length %v: %v", none, length, v)
		}
	}
}
