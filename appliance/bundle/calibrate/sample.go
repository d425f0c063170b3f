package calibrate

import (
	"math"
	"math/rand/v2"
)

// sample keeps a uniform sample of the positions that stream by (reservoir
// sampling, Vitter 1985), in bounded memory: their normed hidden states after
// every depth and the last block, cut to the upper half of a float32.
type sample struct {
	width int // of a position: (depths+1)·d
	limit int
	seen  int
	rows  []uint16
	r     *rand.Rand
}

// sampleBytes bounds the sample.
const sampleBytes = 384 << 20

func newSample(width, want int, seed uint64) *sample {
	limit := min(want, sampleBytes/2/width)
	// All of it at once: what is not filled takes no memory, and growing would take it twice.
	return &sample{width: width, limit: limit, rows: make([]uint16, 0, limit*width), r: rand.New(rand.NewPCG(seed, 1))}
}

func (s *sample) len() int { return len(s.rows) / s.width }

// add takes a position's states, one after another.
func (s *sample) add(states ...[]float32) {
	s.seen++
	at := s.len()
	if at < s.limit {
		s.rows = s.rows[:len(s.rows)+s.width]
	} else if at = s.r.IntN(s.seen); at >= s.limit {
		return
	}
	row := s.rows[at*s.width : (at+1)*s.width]
	for _, h := range states {
		for i, v := range h {
			row[i] = cut(v)
		}
		row = row[len(h):]
	}
}

// part writes values [from,from+len(out)) of a position to out.
func (s *sample) part(at, from int, out []float32) {
	row := s.rows[at*s.width+from:]
	for i := range out {
		out[i] = math.Float32frombits(uint32(row[i]) << 16)
	}
}
