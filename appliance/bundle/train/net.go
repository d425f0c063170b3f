package train

import (
	"math"
	"slices"

	"skerry/appliance/bundle/train/matrix"
)

// Net is what is trained: some blocks and the head behind them.
type Net struct {
	Shape
	Threads int

	w, g params
	adam adam
	acts []activations
	top  activations // of the head
	work scratch
	rows int // since the last step
}

// Sequence is text that the whole model read: what is trained sees positions of it that follow
// one another.
type Sequence struct {
	Position int       // of the first
	In       []float32 // [rows][width], what the frozen blocks say
	// Targets are the whole model's hidden states behind its output norm, [rows][width], from
	// row From on; what lies before is read and not learned.
	Targets []float32
	From    int
}

func (s Shape) newNet(blocks, threads int) *Net {
	n := s.size(blocks)
	return &Net{Shape: s, Threads: max(1, threads), w: s.params(blocks, make([]float32, n)), acts: make([]activations, blocks)}
}

// outputs are the translator's of normed rows.
func (n *Net) outputs(normed []float32) []float32 {
	z := make([]float32, 0, len(normed))
	for range len(normed) / n.Width {
		z = append(z, n.w.bias...)
	}
	matrix.MulAdd(n.Threads, matrix.Of(z, n.Width), matrix.Of(normed, n.Width), matrix.Of(n.w.head, n.Width).T())
	return z
}

// states runs the blocks and gives what they say, row by row, and the head's normed rows.
func (n *Net) states(position int, in []float32) (out, normed []float32, t turns) {
	rows := len(in) / n.Width
	t = n.turns(position, rows)
	x := append([]float32(nil), in...)
	for i := range n.w.blocks {
		n.forward(n.Threads, &n.w.blocks[i], x, x, t, &n.acts[i])
	}
	norm(x, n.w.norm, grow(&n.top.normed, len(x)), grow(&n.top.scale1, rows), n.Epsilon)
	return x, n.top.normed, t
}

// Outputs are what the LM head multiplies, [rows][width], for input in at a position.
func (n *Net) Outputs(position int, in []float32) []float32 {
	_, normed, _ := n.states(position, in)
	return n.outputs(normed)
}

// Learn adds a sequence's gradient to that of the step, over the tokens whose rows of the LM
// head lm has, and returns the sum over its learned positions of the divergence, in nats.
func (n *Net) Learn(s Sequence, lm []float32) float64 {
	if n.g.all == nil {
		n.g = n.Shape.params(len(n.w.blocks), make([]float32, len(n.w.all)))
	}
	d, rows, tokens := n.Width, len(s.In)/n.Width, len(lm)/n.Width
	x, normed, t := n.states(s.Position, s.In)
	normed = normed[s.From*d:]
	learned := rows - s.From
	z, p, q := n.outputs(normed), make([]float32, learned*tokens), make([]float32, learned*tokens)
	head, list := matrix.Of(n.w.head, d), matrix.Of(lm, d)
	matrix.Mul(n.Threads, matrix.Of(p, tokens), matrix.Of(s.Targets, d), list.T())
	matrix.Mul(n.Threads, matrix.Of(q, tokens), matrix.Of(z, d), list.T())
	loss := 0.0
	for i := range learned {
		loss += divergence(p[i*tokens:(i+1)*tokens], q[i*tokens:(i+1)*tokens], &n.work.soft)
	}
	gz, g, gn := z, make([]float32, rows*d), make([]float32, rows*d)
	matrix.Mul(n.Threads, matrix.Of(gz, d), matrix.Of(q, tokens), list)
	matrix.MulAdd(n.Threads, matrix.Of(n.g.head, d), matrix.Of(gz, d).T(), matrix.Of(normed, d))
	for row := range slices.Chunk(gz, d) {
		for j, v := range row {
			n.g.bias[j] += v
		}
	}
	matrix.Mul(n.Threads, matrix.Of(gn[s.From*d:], d), matrix.Of(gz, d), head)
	normBack(x, n.w.norm, n.top.scale1, gn, g, n.g.norm)
	for i := len(n.w.blocks) - 1; i >= 0; i-- {
		n.backward(n.Threads, &n.w.blocks[i], &n.g.blocks[i], g, t, &n.acts[i], &n.work)
	}
	n.rows += learned
	return loss
}

// Pending is how many positions were learned since the last step.
func (n *Net) Pending() int { return n.rows }

// divergence from softmax(p) to softmax(q), in nats; q becomes its gradient with respect to q,
// and p is used up. Room is used again from call to call.
func divergence(p, q []float32, room *[]float32) (kl float64) {
	grow(room, 2*len(p))
	sp, sq := softened(p, (*room)[:len(p)]), softened(q, (*room)[len(p):])
	shift := math.Log(sq) - math.Log(sp)
	np, nq := float32(1/sp), float32(1/sq)
	for i, a := range (*room)[:len(p)] {
		a *= np
		kl += float64(a) * (float64(p[i]-q[i]) + shift)
		q[i] = (*room)[len(p)+i]*nq - a
	}
	return kl
}

// softened takes the greatest of x from all of it, writes the exponentials to out, and returns
// their sum.
func softened(x, out []float32) (sum float64) {
	most := slices.Max(x)
	for i, v := range x {
		x[i] = v - most
	}
	copy(out, x)
	matrix.Exp(out)
	for _, v := range out {
		sum += float64(v)
	}
	return sum
}

// adam has the means of gradients and of their squares, and that of the weights.
type adam struct {
	m, v, w []float32
	step    int
}

// mostNorm is the longest gradient that is followed as it is; a longer one is shortened.
const mostNorm = 1

// lastPart says how much of a descent the mean of its weights looks back on: after step t the
// weights get (lastPart+1)/(lastPart+t) of it (polynomial-decay averaging, Shamir and Zhang,
// arXiv 1212.1824, section 4).
const lastPart = 7

// Step follows the mean gradient of what was learned, and returns how long that was.
func (n *Net) Step(rate float64) float64 {
	if n.rows == 0 {
		return 0
	}
	n.state()
	sum := 0.0
	for _, v := range n.g.all {
		sum += float64(v) * float64(v)
	}
	length := math.Sqrt(sum) / float64(n.rows)
	shrink := float32(min(1, mostNorm/max(length, 1e-12)) / float64(n.rows))
	const b1, b2, eps = 0.9, 0.99, 1e-8
	n.adam.step++
	c1, c2 := 1-math.Pow(b1, float64(n.adam.step)), 1-math.Pow(b2, float64(n.adam.step))
	scale := float32(rate * math.Sqrt(c2) / c1)
	share := float32(lastPart+1) / float32(lastPart+n.adam.step)
	w, m, v, mean := n.w.all, n.adam.m[:len(n.w.all)], n.adam.v[:len(n.w.all)], n.adam.w[:len(n.w.all)]
	for i, g := range n.g.all {
		g *= shrink
		m[i] = b1*m[i] + (1-b1)*g
		v[i] = b2*v[i] + (1-b2)*g*g
		w[i] -= scale * m[i] / (float32(math.Sqrt(float64(v[i]))) + eps)
		mean[i] += share * (w[i] - mean[i])
	}
	clear(n.g.all)
	n.rows = 0
	return length
}

// Averaged calls f while the mean of the last steps' weights are the net's, which is what came
// of the descent: single steps at the full rate miss the middle of where they end up. Nothing is
// learned in f.
func (n *Net) Averaged(f func()) {
	if n.adam.step == 0 {
		f()
		return
	}
	swap := func() {
		for i, mean := range n.adam.w {
			n.adam.w[i], n.w.all[i] = n.w.all[i], mean
		}
	}
	swap()
	defer swap()
	f()
}

// Steps is how many were taken.
func (n *Net) Steps() int { return n.adam.step }

// Best is, of each row of outputs z [rows][width], the token whose row of the LM head lm is
// the likeliest.
func Best(z, lm []float32, width, threads int) (ids []int32) {
	const rows = 32
	v := len(lm) / width
	logits := make([]float32, rows*v)
	for part := range slices.Chunk(z, rows*width) {
		l := logits[:len(part)/width*v]
		matrix.Mul(threads, matrix.Of(l, v), matrix.Of(part, width), matrix.Of(lm, width).T())
		for row := range slices.Chunk(l, v) {
			best := 0
			for i, x := range row {
				if x > row[best] {
					best = i
				}
			}
			ids = append(ids, int32(best))
		}
	}
	return ids
}
