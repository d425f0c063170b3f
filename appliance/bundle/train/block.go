package train

import (
	"math"

	"skerry/appliance/bundle/train/matrix"
)

// activations are what a block's backward pass needs of its forward pass, for a sequence of
// rows: each is [rows][...].
type activations struct {
	in, normed, q, k, v, mixed, mid, normed2, gate, up, hidden []float32
	scale1, scale2                                             []float32 // of the norms
	probs                                                      []float32 // [heads][rows][rows]
}

// scratch is room that is used again for every block and sequence.
type scratch struct {
	wide, wide2, wide3 []float32 // [rows][width]
	ff, ff2            []float32 // [rows][ff]
	q, k, v            []float32
	square             []float32 // [rows][rows]
	soft               []float32 // twice the tokens of a step
}

func grow(v *[]float32, n int) []float32 {
	if cap(*v) < n {
		*v = make([]float32, n)
	}
	*v = (*v)[:n]
	return *v
}

// norm writes x·weight over the root of the mean square of x to out, row by row, and what each
// row was multiplied by to scales.
func norm(x, weight, out, scales []float32, epsilon float32) {
	d := len(weight)
	for i := range scales {
		row, to := x[i*d:(i+1)*d], out[i*d:(i+1)*d]
		var sum float32
		for _, v := range row {
			sum += v * v
		}
		s := 1 / float32(math.Sqrt(float64(sum/float32(d)+epsilon)))
		for j, v := range row {
			to[j] = v * s * weight[j]
		}
		scales[i] = s
	}
}

// normBack adds the gradient of norm with respect to x to gx and that of its weight to gw,
// of the gradient g of its output.
func normBack(x, weight, scales, g, gx, gw []float32) {
	d := len(weight)
	for i, s := range scales {
		row, gr, to := x[i*d:(i+1)*d], g[i*d:(i+1)*d], gx[i*d:(i+1)*d]
		var dot float32
		for j, v := range row {
			dot += gr[j] * weight[j] * v
			gw[j] += gr[j] * v * s
		}
		dot *= s * s * s / float32(d)
		for j, v := range row {
			to[j] += s*weight[j]*gr[j] - dot*v
		}
	}
}

// turns are the cosines and sines of the positions from first on, [rows][rotated/2] each.
type turns struct{ cos, sin []float32 }

func (s Shape) turns(first, rows int) turns {
	half := s.Rotated / 2
	t := turns{make([]float32, rows*half), make([]float32, rows*half)}
	for i := range rows {
		for j := range half {
			sin, cos := math.Sincos(float64(first+i) * math.Pow(s.RopeBase, -2*float64(j)/float64(s.Rotated)))
			t.cos[i*half+j], t.sin[i*half+j] = float32(cos), float32(sin)
		}
	}
	return t
}

// turn rotates neighbours of x [rows][heads][head] by the position, or back.
func (s Shape) turn(x []float32, heads int, t turns, back bool) {
	half := s.Rotated / 2
	rows := len(x) / (heads * s.Head)
	for i := range rows {
		cos, sin := t.cos[i*half:(i+1)*half], t.sin[i*half:(i+1)*half]
		for h := range heads {
			row := x[(i*heads+h)*s.Head:][:s.Rotated]
			for j, c := range cos {
				a, b, n := row[2*j], row[2*j+1], sin[j]
				if back {
					n = -n
				}
				row[2*j], row[2*j+1] = a*c-b*n, a*n+b*c
			}
		}
	}
}

// forward computes a block on in [rows][width], of a sequence whose positions t is of, and
// writes what comes out to out.
func (s Shape) forward(threads int, b *block, in, out []float32, t turns, a *activations) {
	d, rows := s.Width, len(in)/s.Width
	nq, nkv := s.Heads*s.Head, s.KVHeads*s.Head
	mul := func(to []float32, cols int, x []float32, inner int, w []float32) {
		matrix.Mul(threads, matrix.Of(to, cols), matrix.Of(x, inner), matrix.Of(w, inner).T())
	}
	copy(grow(&a.in, len(in)), in)
	norm(a.in, b.attnNorm, grow(&a.normed, rows*d), grow(&a.scale1, rows), s.Epsilon)
	mul(grow(&a.q, rows*nq), nq, a.normed, d, b.q)
	mul(grow(&a.k, rows*nkv), nkv, a.normed, d, b.k)
	mul(grow(&a.v, rows*nkv), nkv, a.normed, d, b.v)
	s.turn(a.q, s.Heads, t, false)
	s.turn(a.k, s.KVHeads, t, false)
	s.attend(threads, a, rows)
	mul(grow(&a.mid, rows*d), d, a.mixed, nq, b.o)
	for i, v := range in {
		a.mid[i] += v
	}
	norm(a.mid, b.ffnNorm, grow(&a.normed2, rows*d), grow(&a.scale2, rows), s.Epsilon)
	mul(grow(&a.gate, rows*s.FF), s.FF, a.normed2, d, b.gate)
	mul(grow(&a.up, rows*s.FF), s.FF, a.normed2, d, b.up)
	sigmoids(a.gate, grow(&a.hidden, rows*s.FF))
	for i, g := range a.gate {
		a.hidden[i] *= g * a.up[i]
	}
	mul(out, d, a.hidden, s.FF, b.down)
	for i, v := range a.mid {
		out[i] += v
	}
}

// sigmoids writes 1/(1+exp(-x)) of every value to out.
func sigmoids(x, out []float32) {
	for i, v := range x {
		out[i] = -v
	}
	matrix.Exp(out)
	for i, v := range out {
		out[i] = 1 / (1 + v)
	}
}

// head is a view of one head of x [rows][heads][head].
func (s Shape) head(x []float32, heads, h int) matrix.M {
	return matrix.Of(x, heads*s.Head).Columns(h*s.Head, s.Head)
}

// attend mixes the values that each position sees: itself and those before.
func (s Shape) attend(threads int, a *activations, rows int) {
	scale := float32(1 / math.Sqrt(float64(s.Head)))
	grow(&a.probs, s.Heads*rows*rows)
	grow(&a.mixed, rows*s.Heads*s.Head)
	for h := range s.Heads {
		kv := h * s.KVHeads / s.Heads
		p := a.probs[h*rows*rows : (h+1)*rows*rows]
		matrix.Mul(threads, matrix.Of(p, rows), s.head(a.q, s.Heads, h), s.head(a.k, s.KVHeads, kv).T())
		for i := range rows {
			row := p[i*rows : (i+1)*rows]
			softmax(row[:i+1], scale)
			clear(row[i+1:])
		}
		matrix.Mul(threads, s.head(a.mixed, s.Heads, h), matrix.Of(p, rows), s.head(a.v, s.KVHeads, kv))
	}
}

// softmax of scale·x, in place.
func softmax(x []float32, scale float32) {
	most := x[0]
	for _, v := range x {
		most = max(most, v)
	}
	for i, v := range x {
		x[i] = scale * (v - most)
	}
	matrix.Exp(x)
	var sum float32
	for _, v := range x {
		sum += v
	}
	for i := range x {
		x[i] /= sum
	}
}

// backward turns g, the gradient of what came out of a block, into that of what went in, and
// adds those of its weights to gb.
func (s Shape) backward(threads int, b, gb *block, g []float32, t turns, a *activations, w *scratch) {
	d, rows := s.Width, len(g)/s.Width
	nq, nkv := s.Heads*s.Head, s.KVHeads*s.Head
	// through is the gradient of x·Wᵀ: gx = g·W, gw += gᵀ·x.
	through := func(gx []float32, add bool, g []float32, cols int, x []float32, inner int, weights, gw []float32) {
		to, of, by := matrix.Of(gx, inner), matrix.Of(g, cols), matrix.Of(weights, inner)
		if add {
			matrix.MulAdd(threads, to, of, by)
		} else {
			matrix.Mul(threads, to, of, by)
		}
		matrix.MulAdd(threads, matrix.Of(gw, inner), of.T(), matrix.Of(x, inner))
	}
	// The feed-forward network; g also goes around it.
	gh, gu := grow(&w.ff, rows*s.FF), grow(&w.ff2, rows*s.FF)
	through(gh, false, g, d, a.hidden, s.FF, b.down, gb.down)
	sigmoids(a.gate, gu)
	for i, x := range a.gate {
		sig := gu[i]
		gu[i] = gh[i] * x * sig
		gh[i] *= a.up[i] * sig * (1 + x*(1-sig))
	}
	gn := grow(&w.wide, rows*d)
	through(gn, false, gh, s.FF, a.normed2, d, b.gate, gb.gate)
	through(gn, true, gu, s.FF, a.normed2, d, b.up, gb.up)
	normBack(a.mid, b.ffnNorm, a.scale2, gn, g, gb.ffnNorm)

	// Attention, which g goes around as well.
	gm := grow(&w.wide2, rows*nq)
	through(gm, false, g, d, a.mixed, nq, b.o, gb.o)
	gq, gk, gv := grow(&w.q, rows*nq), grow(&w.k, rows*nkv), grow(&w.v, rows*nkv)
	s.attendBack(threads, a, gm, gq, gk, gv, w)
	s.turn(gq, s.Heads, t, true)
	s.turn(gk, s.KVHeads, t, true)
	gn = grow(&w.wide, rows*d)
	through(gn, false, gq, nq, a.normed, d, b.q, gb.q)
	through(gn, true, gk, nkv, a.normed, d, b.k, gb.k)
	through(gn, true, gv, nkv, a.normed, d, b.v, gb.v)
	normBack(a.in, b.attnNorm, a.scale1, gn, g, gb.attnNorm)
}

// attendBack computes the gradients of queries, keys and values from gm, that of what attend
// mixed.
func (s Shape) attendBack(threads int, a *activations, gm, gq, gk, gv []float32, w *scratch) {
	rows := len(gm) / (s.Heads * s.Head)
	scale := float32(1 / math.Sqrt(float64(s.Head)))
	clear(gk)
	clear(gv)
	gp := grow(&w.square, rows*rows)
	for h := range s.Heads {
		kv := h * s.KVHeads / s.Heads
		p, of := a.probs[h*rows*rows:(h+1)*rows*rows], s.head(gm, s.Heads, h)
		matrix.MulAdd(threads, s.head(gv, s.KVHeads, kv), matrix.Of(p, rows).T(), of)
		matrix.Mul(threads, matrix.Of(gp, rows), of, s.head(a.v, s.KVHeads, kv).T())
		for i := range rows {
			pr, gr := p[i*rows:(i+1)*rows], gp[i*rows:(i+1)*rows]
			var dot float32
			for j, v := range pr[:i+1] {
				dot += v * gr[j]
			}
			for j, v := range pr[:i+1] {
				gr[j] = v * (gr[j] - dot) * scale
			}
			clear(gr[i+1:])
		}
		matrix.Mul(threads, s.head(gq, s.Heads, h), matrix.Of(gp, rows), s.head(a.k, s.KVHeads, kv))
		matrix.MulAdd(threads, s.head(gk, s.KVHeads, kv), matrix.Of(gp, rows).T(), s.head(a.q, s.Heads, h))
	}
}
