package train

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"skerry/build/testseed"
)

func randomNet(r *rand.Rand) (n *Net, s Sequence, lm []float32) {
	shape := Shape{Width: 24, FF: 40, Heads: 4, KVHeads: 2, Head: 6, Rotated: 4, Epsilon: 1e-5, RopeBase: 10000}
	n = shape.newNet(2, 1+r.IntN(2))
	random := func(n int, by float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(by * r.NormFloat64())
		}
		return v
	}
	copy(n.w.all, random(len(n.w.all), 0.3))
	rows := 5 + r.IntN(4)
	s = Sequence{Position: r.IntN(20), In: random(rows*24, 1), From: r.IntN(3)}
	s.Targets = random((rows-s.From)*24, 1)
	return n, s, random(30*24, 0.5)
}

// loss is what Learn returns, without its gradient.
func (n *Net) loss(s Sequence, lm []float32) (sum float64) {
	z, d := n.Outputs(s.Position, s.In)[s.From*n.Width:], n.Width
	for at := 0; at < len(z); at += d {
		dots := func(x []float32) (out []float32) {
			for row := range slices.Chunk(lm, d) {
				var dot float64
				for j, v := range row {
					dot += float64(v) * float64(x[j])
				}
				out = append(out, float32(dot))
			}
			return out
		}
		sum += divergence(dots(s.Targets[at:at+d]), dots(z[at:at+d]), new([]float32))
	}
	return sum
}

// The gradient that Learn sums up is the one that finite differences show, for every kind of
// weight.
func TestGradientsAreFiniteDifferences(t *testing.T) {
	r := testseed.Rand(t)
	n, s, lm := randomNet(r)
	if got, want := n.Learn(s, lm), n.loss(s, lm); math.Abs(got-want) > 1e-3*want {
		t.Fatalf("the divergence is %g and the sum %g", got, want)
	}
	groups := map[string][2][]float32{"norm": {n.w.norm, n.g.norm}, "head": {n.w.head, n.g.head}, "bias": {n.w.bias, n.g.bias}}
	for i := range n.w.blocks {
		for k, f := range n.w.blocks[i].fields() {
			groups[string(rune('0'+i))+tensors[k].name] = [2][]float32{*f, *n.g.blocks[i].fields()[k]}
		}
	}
	for name, group := range groups {
		w, g := group[0], group[1]
		// Along a random direction, and along the gradient itself.
		for _, along := range []bool{false, true} {
			dir, dot, length := make([]float32, len(w)), 0.0, 0.0
			for i := range dir {
				if dir[i] = float32(r.NormFloat64()); along {
					dir[i] = g[i]
				}
				dot += float64(dir[i]) * float64(g[i])
				length += float64(dir[i]) * float64(dir[i])
			}
			step := 1e-2 / math.Sqrt(length)
			before := slices.Clone(w)
			at := func(by float64) float64 {
				for i := range w {
					w[i] = before[i] + float32(by*float64(dir[i]))
				}
				return n.loss(s, lm)
			}
			slope := (at(step) - at(-step)) / (2 * step)
			copy(w, before)
			norm := 0.0
			for _, v := range g {
				norm += float64(v) * float64(v)
			}
			if off := math.Abs(slope - dot); !(off < 0.02*math.Sqrt(norm*length)) {
				t.Errorf("%s: the slope is %g, the gradient says %g", name, slope, dot)
			}
		}
	}
}

// Descent on one sequence brings it near its targets, and a state goes on where it was stored.
func TestDescentGoesOnFromItsState(t *testing.T) {
	n, s, lm := randomNet(testseed.Rand(t))
	other := n.Shape.newNet(2, 1)
	first := n.loss(s, lm)
	for range 30 {
		n.Learn(s, lm)
		n.Step(0.01)
	}
	if after := n.loss(s, lm); !(after < first/2) {
		t.Errorf("the divergence went from %g to %g", first, after)
	}
	var state bytes.Buffer
	if err := n.WriteState(&state); err != nil {
		t.Fatal(err)
	}
	if err := other.ReadState(bytes.NewReader(state.Bytes())); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Net{n, other} {
		n.Learn(s, lm)
		n.Step(0.01)
	}
	if !slices.Equal(n.w.all, other.w.all) || !slices.Equal(n.adam.w, other.adam.w) {
		t.Error("a net that was stored goes on in another way")
	}
	if err := other.ReadState(bytes.NewReader(state.Bytes()[:state.Len()-5])); !errors.Is(err, ErrState) {
		t.Errorf("a state cut short: %v", err)
	}
	state.Bytes()[100] ^= 1
	if err := other.ReadState(&state); !errors.Is(err, ErrState) {
		t.Errorf("a state with a bit that flipped: %v", err)
	}
}

// The weights of single steps lie around those that are best, and their mean lies nearer; it is the
// net's for as long as it is asked for, and the descent goes on from its last step.
func TestMeanOfWeightsIsNearer(t *testing.T) {
	r := testseed.Rand(t)
	n, s, lm := randomNet(r)
	mean := n.loss(s, lm)
	n.Averaged(func() {
		if n.loss(s, lm) != mean {
			t.Error("before the first step there is a mean")
		}
	})
	last := 0.0
	for i := range 200 {
		text := s
		text.Targets = slices.Clone(s.Targets)
		for k := range text.Targets {
			text.Targets[k] += float32(0.5 * r.NormFloat64())
		}
		n.Learn(text, lm)
		n.Step(0.01)
		if i >= 180 {
			last += n.loss(s, lm) / 20
		}
	}
	after := slices.Clone(n.w.all)
	n.Averaged(func() { mean = n.loss(s, lm) })
	if !(mean < last) {
		t.Errorf("the mean's divergence is %g, that of single steps %g", mean, last)
	}
	if !slices.Equal(after, n.w.all) {
		t.Error("the descent does not go on from its last step")
	}
}

// Whatever a file holds, reading it as a state ends with an error or with a net that can go on.
func FuzzState(f *testing.F) {
	n, s, lm := randomNet(rand.New(rand.NewPCG(1, 1)))
	n.Learn(s, lm)
	n.Step(0.01)
	var state bytes.Buffer
	if err := n.WriteState(&state); err != nil {
		f.Fatal(err)
	}
	f.Add(state.Bytes())
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := n.ReadState(bytes.NewReader(b)); err != nil && !errors.Is(err, ErrState) {
			t.Error(err)
		}
	})
}
