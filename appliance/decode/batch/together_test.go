package batch

import (
	"errors"
	"reflect"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/build/testleak"
)

// same fails unless two answers are token for token the same, and on x86 their
// figures to the last bit.
func same(t testing.TB, what string, got, want []infer.Token) {
	t.Helper()
	if runtime.GOARCH == "amd64" && reflect.DeepEqual(got, want) {
		return
	}
	for i := range want {
		if i >= len(got) || got[i].ID != want[i].ID || runtime.GOARCH == "amd64" {
			t.Errorf("%s, token %d of %d:\n got %+v\nwant %+v", what, i, len(got), got[min(i, len(got)):min(i+1, len(got))], want[i])
			return
		}
	}
}

// Sessions that share batches say what each says alone, logits and all.
func TestTogetherEqualsAlone(t *testing.T) {
	const sequences = 4
	r := newRig(t)
	for name, c := range map[string]struct {
		mode  infer.Mode
		model func(testing.TB, int) decode.Model
		cloud bool
	}{
		"standalone":    {decode.Standalone, r.split, false},
		"collaborative": {decode.Collaborative, r.split, true},
		"unsplit":       {decode.Unsplit, r.whole, false},
	} {
		t.Run(name, func(t *testing.T) {
			defer testleak.None(t, goleak.IgnoreCurrent())
			opt := Options{Sequences: sequences}
			var cloud decode.Cloud
			if c.cloud {
				opt.Open = r.clouds(t, sequences)
				cloud, _ = r.clouds(t, 1)(0)
			}
			s, err := New(c.model(t, sequences), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			one := c.model(t, 1)
			want := make([][]infer.Token, sequences)
			sources := map[infer.Source]int{}
			for i := range want {
				want[i] = alone(t, one, cloud, text(10+30*i, uint64(i)), options(c.mode, 20, uint64(i)))
				for _, tok := range want[i] {
					sources[tok.Source]++
				}
			}
			t.Log("sources:", sources)
			var wg sync.WaitGroup
			for i := range want {
				wg.Go(func() {
					got, _ := answer(t, s, Ask{Prompt: text(10+30*i, uint64(i))}, options(c.mode, 20, uint64(i)))
					same(t, name, got, want[i])
				})
			}
			wg.Wait()
			st := s.Stats()
			t.Logf("%d rows in %d batches", st.Rows, st.Batches)
		})
	}
}

// faulty fails on every batch with a row of one sequence.
type faulty struct {
	decode.Stage
	seq int32
}

var errFaulty = errors.New("this sequence is broken")

func (f *faulty) Forward(b engine.Batch) (engine.Output, error) {
	for _, q := range b.Seq {
		if q == f.seq {
			return engine.Output{}, errFaulty
		}
	}
	return f.Stage.Forward(b)
}

func TestOnesFaultIsNotAnothers(t *testing.T) {
	r := newRig(t)
	m := r.split(t, 4)
	m.Exits[0].Stage = &faulty{m.Exits[0].Stage, 2}
	s := open(t, m, Options{Sequences: 4})
	one := r.split(t, 1)
	var wg sync.WaitGroup
	for i := range 4 {
		prompt, o := text(40, uint64(i)), options(decode.Standalone, 20, uint64(i))
		want := alone(t, one, nil, prompt, o)
		sl, err := s.Acquire(t.Context(), Ask{Prompt: prompt})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer sl.Release()
			a, err := sl.Session().Generate(t.Context(), prompt, o, nil)
			if (sl.Seq() == 2) != errors.Is(err, errFaulty) {
				t.Errorf("sequence %d: %v", sl.Seq(), err)
			}
			if sl.Seq() != 2 {
				same(t, "beside a fault", timeless(a.Tokens), want)
			}
		})
	}
	wg.Wait()
}
