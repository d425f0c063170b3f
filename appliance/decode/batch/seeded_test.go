package batch

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// Ninety seeded answers at once, of prompts that begin alike in threes, are those
// that each is alone.
func TestNinetyAnswersEqualLoneOnes(t *testing.T) {
	const sequences, answers = 4, 90
	r := newRig(t)
	s, one := open(t, r.split(t, sequences), Options{Sequences: sequences, Queue: answers}), r.split(t, 1)
	got := make([][]infer.Token, answers)
	prompt := func(i int) []int32 {
		return slices.Concat(text(40+i/3, uint64(i/3)), text(1+i%7, uint64(100+i)))
	}
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			got[i], _ = answer(t, s, Ask{Prompt: prompt(i)}, options(decode.Standalone, 5+i%30, uint64(i)))
		})
	}
	wg.Wait()
	differ := 0
	for i := range answers {
		want := alone(t, one, nil, prompt(i), options(decode.Standalone, 5+i%30, uint64(i)))
		if runtime.GOARCH == "amd64" && !reflect.DeepEqual(got[i], want) {
			differ++
		}
		same(t, "beside others", got[i], want)
	}
	st := s.Stats()
	t.Logf("%d of %d differ; %d rows in %d batches, %d positions forked", differ, answers, st.Rows, st.Batches, st.Forked)
}
