package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/build/testseed"
)

// What a sequence computes is to the last bit what it computes alone, whoever joins,
// leaves, is truncated, copied, exported or imported beside it.
func TestSequencesDoNotDependOnEachOther(t *testing.T) {
	seed := testseed.Of(t)
	for _, shape := range []string{"tiny", "tiny-gemma3", "tiny-qwen3"} { // the second has a sliding window
		for _, kv := range []engine.KVType{engine.KVF16, engine.KVF32} {
			t.Run(fmt.Sprintf("%s/kv%d", shape, kv), func(t *testing.T) { streams(t, shape, kv, seed) })
		}
	}
}

func streams(t *testing.T, shape string, kv engine.KVType, seed uint64) {
	const sequences, most = 4, 300
	path := enginetest.Synth(t, shape)
	o := engine.Options{Context: most, Rows: 96, KV: kv}
	ref := enginetest.Open(t, path, o)
	o.Context, o.Sequences = sequences*most, sequences
	s := enginetest.Open(t, path, o)
	rng := rand.New(rand.NewPCG(seed, 1))
	var said [sequences][]int32
	// check compares rows of sequence q from position from on with those of a stage that
	// has been through nothing else.
	check := func(step, q, from int, out engine.Output, want []engine.Want) {
		t.Helper()
		if err := ref.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		feed(t, ref, 0, 0, said[q][:from], nil, 50, 0)
		b := engine.NewBatch(0, from, len(said[q])-from, 0)
		b.Tokens, b.Want = said[q][from:], want
		alone, err := ref.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("step %d, sequence %d from %d on: ", step, q, from)
		equal(t, what+"hidden states", out.Hidden, alone.Hidden)
		equal(t, what+"logits", out.Logits, alone.Logits)
	}
	steps := 60
	if testing.Short() {
		steps = 20
	}
	for step := 0; step < steps && !t.Failed(); step++ {
		q, other := rng.IntN(sequences), rng.IntN(sequences)
		at := rng.IntN(len(said[q]) + 1)
		switch rng.IntN(8) {
		case 0, 1:
			must(t, s.Truncate(q, at))
			said[q] = said[q][:at]
		case 2:
			if other != q {
				must(t, s.Copy(q, other, at))
				said[other] = slices.Clone(said[q][:at])
			}
		case 3:
			state, err := s.ExportPrefix(q, at)
			must(t, err)
			must(t, s.Import(other, state))
			said[other] = slices.Clone(said[q][:at])
		}
		var b engine.Batch
		var from, rows [sequences]int
		for q := range sequences {
			from[q] = len(said[q])
			rows[q] = min([]int{0, 1, 1, 1, 1 + rng.IntN(90)}[rng.IntN(5)], most-from[q])
			said[q] = append(said[q], randomTokens(rows[q], 500, rng.Uint64())...)
		}
		var left [sequences]int
		copy(left[:], rows[:])
		for left != [sequences]int{} { // the rows of all, in any order
			if q := rng.IntN(sequences); left[q] > 0 {
				k := len(said[q]) - left[q]
				left[q]--
				b.Tokens, b.Pos, b.Seq = append(b.Tokens, said[q][k]), append(b.Pos, int32(k)), append(b.Seq, int32(q))
				b.Want = append(b.Want, engine.Want(rng.IntN(4)))
			}
		}
		if len(b.Pos) == 0 {
			continue
		}
		out, err := s.Forward(b)
		must(t, err)
		var each [sequences]engine.Output
		var want [sequences][]engine.Want
		for i, q := range b.Seq {
			want[q] = append(want[q], b.Want[i])
			if b.Want[i]&engine.WantHidden != 0 {
				each[q].Hidden = append(each[q].Hidden, out.Hidden[:s.Width()]...)
				out.Hidden = out.Hidden[s.Width():]
			}
			if b.Want[i]&engine.WantLogits != 0 {
				each[q].Logits = append(each[q].Logits, out.Logits[:s.VocabSize()]...)
				out.Logits = out.Logits[s.VocabSize():]
			}
		}
		for q := range sequences {
			if rows[q] > 0 {
				check(step, q, from[q], each[q], want[q])
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
