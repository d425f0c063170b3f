package batch

import (
	"context"
	"errors"
	"slices"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// A prompt computed in a mode that does not ask is the cloud's as soon as one does,
// and a session may go over from the stages to the whole model and back.
func TestModesTakeTurns(t *testing.T) {
	r := newRig(t)
	m, one := r.split(t, 1), r.split(t, 1)
	m.Whole, one.Whole = r.whole(t, 1).Whole, r.whole(t, 1).Whole
	s := open(t, m, Options{Open: r.clouds(t, 1)})
	cloud, _ := r.clouds(t, 1)(0)
	prompt := text(80, 1)
	for i, mode := range []infer.Mode{decode.Standalone, decode.Collaborative, decode.Unsplit, decode.Standalone, decode.Collaborative} {
		o := options(mode, 10, uint64(i))
		o.Thresholds = []float64{0.012, 1.1}
		got, _ := answer(t, s, Ask{Prompt: prompt}, o)
		same(t, string(mode), got, alone(t, one, cloud, prompt, o))
		for _, tok := range got {
			prompt = append(prompt, tok.ID)
		}
	}
}

// gone is a cloud that is of no more use.
type gone struct {
	decode.Cloud
	closed *int
}

var errGone = errors.New("this cloud does not know the bundle")

func (g gone) Ask(context.Context, int, int) (decode.Row, error) { return decode.Row{}, errGone }

func (g gone) Close() error { *g.closed++; return nil }

// A cloud that was lost for good is opened again for the next answer.
func TestLostCloudIsOpenedAgain(t *testing.T) {
	r := newRig(t)
	clouds, opened, closed := r.clouds(t, 1), 0, 0
	s := open(t, r.split(t, 1), Options{Open: func(seq int) (decode.Cloud, error) {
		c, err := clouds(seq)
		if opened++; opened == 1 {
			return gone{c, &closed}, err
		}
		return c, err
	}})
	prompt, o := text(60, 1), options(decode.Collaborative, 10, 1)
	o.Thresholds = []float64{1.1}
	got, _ := answer(t, s, Ask{Prompt: prompt}, o)
	if got[0].Source != infer.Fallback || opened != 1 {
		t.Errorf("%+v, opened %d times", got[0], opened)
	}
	cloud, _ := r.clouds(t, 1)(0)
	got, _ = answer(t, s, Ask{Prompt: prompt}, o)
	same(t, "opened again", got, alone(t, r.split(t, 1), cloud, prompt, o))
	if opened != 2 || closed != 1 || slices.ContainsFunc(got, func(t infer.Token) bool { return t.Source != infer.FromCloud }) {
		t.Errorf("opened %d times, closed %d, %+v", opened, closed, got)
	}
}
