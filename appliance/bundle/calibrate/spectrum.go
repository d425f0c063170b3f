package calibrate

import (
	"math"

	"skerry/appliance/engine"
)

// A row of a draft's logits is kept as a spectrum: how many logits lie how far below the
// best, in bands of bandWidth. That is all that the probability of the best token, at any
// temperature, depends on, in 500 bytes where the row may have 600,000.
const (
	bands     = 128
	bandWidth = 0.25 // nats; what lies bands·bandWidth below the best is in the last band
	// By band the number of logits and their mean place in it, and before them how far below
	// the best that of the wanted token is.
	spectrumWidth = 1 + 2*bands
)

// noDistance stands for that of a token that cannot be said, in nats. A power of two is the
// same once it was kept, in the upper half of a float32.
const noDistance = 8192

// below is how far a logit lies below the best; noDistance where it is further, or no number.
func below(best, logit float32) float64 {
	if d := float64(best) - float64(logit); d < noDistance {
		return d
	}
	return noDistance
}

// spectrumOf describes a row of logits; want is the index of the wanted one, negative for
// none.
func spectrumOf(row []float32, want int) []float32 {
	out := make([]float32, spectrumWidth)
	counts, places := out[1:1+bands], out[1+bands:]
	best := engine.Best(row)
	out[0] = noDistance
	if want >= 0 && want < len(row) {
		out[0] = float32(below(row[best], row[want]))
	}
	for i, v := range row {
		if i == best {
			continue
		}
		distance := below(row[best], v)
		band := min(bands-1, int(distance/bandWidth))
		counts[band]++
		places[band] += float32(min(distance-float64(band)*bandWidth, bandWidth))
	}
	for i, n := range counts {
		if n > 0 {
			places[i] /= n
		}
	}
	return out
}

// silence is the spectrum of a position on which nothing can be said.
func silence() []float32 {
	out := make([]float32, spectrumWidth)
	out[0], out[1] = noDistance, 1e30
	return out
}

// partition is the sum of exp((logit-best)/t) over the row that was described.
func partition(spectrum []float32, t float64) float64 {
	counts, places := spectrum[1:1+bands], spectrum[1+bands:]
	z := 1.0
	for i, n := range counts {
		if n > 0 {
			z += float64(n) * math.Exp(-(float64(i)*bandWidth+float64(places[i]))/t)
		}
	}
	return z
}
