package partition_test

import (
	"math/rand/v2"
	"testing"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
)

// Sending again costs bytes and nothing else: the cloud computes every position
// once, and its answers stay right.
func TestResendRepeatsOnlyBytes(t *testing.T) {
	t.Parallel()
	stage := fakestage.New(width, vocab, 1, 1024, 64)
	c := newCloud(t, stage)
	s := open(t, c.dial(t), func(o *cloudlink.SessionOptions) { o.Durable = true })
	defer s.Close()
	hidden := rows(rand.New(rand.NewPCG(3, 3)), 40)
	must(t, s.Append(0, hidden[:30*width]))
	wantRow(t, ask(t, s, 29, 0), hidden[:30*width])
	sent := uint64(30)
	for pos := 30; pos < 40; pos++ {
		must(t, s.Resend(0))
		must(t, s.Append(pos, hidden[pos*width:][:width]))
		wantRow(t, ask(t, s, pos, 0), hidden[:(pos+1)*width])
		sent += uint64(pos + 1)
	}
	if st := s.Stats(); st.Rows != sent || st.Repeats != 0 {
		t.Errorf("%d rows sent, want %d; repeated %d times at the cloud's wish", st.Rows, sent, st.Repeats)
	}
	if got := c.server.Stats().Rows; got != 40 {
		t.Errorf("the stage computed %d rows of 40", got)
	}
}
