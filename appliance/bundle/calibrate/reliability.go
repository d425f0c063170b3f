package calibrate

import (
	"math"

	"skerry/appliance/bundle"
)

// A reliability counts tokens by confidence: finely, for the coverage at a precision, and
// by tenths, for the curve.
type reliability struct {
	said, right [fineBins]int
	tenths      [10]struct {
		n, right int
		sum      float64 // of confidences
	}
}

const fineBins = 1000

// bin is where a confidence in [0,1] falls among n equal bins.
func bin(confidence float64, n int) int { return max(0, min(n-1, int(confidence*float64(n)))) }

func (r *reliability) add(confidence float64, right bool) {
	i, t := bin(confidence, fineBins), &r.tenths[bin(confidence, len(r.tenths))]
	r.said[i]++
	t.n++
	t.sum += confidence
	if right {
		r.right[i]++
		t.right++
	}
}

// coverage is the largest share of tokens, the most confident first, of which at least
// precision are right.
func (r *reliability) coverage(precision float64) float64 {
	said, right, covered := 0, 0, 0
	for i := fineBins - 1; i >= 0; i-- {
		said, right = said+r.said[i], right+r.right[i]
		if float64(right) >= precision*float64(said) {
			covered = said
		}
	}
	return ratio(covered, said)
}

func (r *reliability) summary() bundle.Reliability {
	out := bundle.Reliability{Coverage95: r.coverage(0.95), Coverage98: r.coverage(0.98)}
	right := 0
	for _, t := range r.tenths {
		out.Tokens, right = out.Tokens+t.n, right+t.right
		if t.n > 0 {
			out.Curve = append(out.Curve, bundle.ReliabilityBin{Confidence: t.sum / float64(t.n), Agreement: ratio(t.right, t.n), Tokens: t.n})
		}
	}
	out.Agreement = ratio(right, out.Tokens)
	for _, b := range out.Curve {
		out.CalibrationError += math.Abs(b.Confidence-b.Agreement) * float64(b.Tokens) / float64(out.Tokens)
	}
	return out
}
