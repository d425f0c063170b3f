package decode

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	"skerry/appliance/infer"
)

// CloudOnly has the whole model in the cloud, which streams the tokens back.
const CloudOnly infer.Mode = "cloud-only"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: CloudOnly, Help: "sends the text to the cloud, for comparison", Cloud: true, Baseline: true, Served: true,
		Sources: []infer.Source{infer.FromCloud},
	},
	Greedy: true,
	Upload: Upload{Tokens: true},
	step:   (*loop).cloudOnly,
})

// Generator is a Cloud that has the whole model, for CloudOnly.
type Generator interface {
	// Generate appends ids to the tokens the cloud has of the session and goes on
	// greedily for up to max tokens, or to the model's end of answer, which it
	// yields too, unless ignoreEnd. What was yielded is part of the session. It
	// ends with nil when yield returns false.
	Generate(ctx context.Context, ids []int32, max int, ignoreEnd bool, yield func(id int32, confidence, margin float64) bool) error
}

// cloudOnly takes the next token of the cloud's stream.
func (l *loop) cloudOnly(ctx context.Context) ([]infer.Token, error) {
	if l.next == nil {
		l.asks++
		l.next, l.stop = iter.Pull2(l.cloudStream(ctx))
	}
	start, over := time.Now(), l.reportWaiting()
	t, err, ok := l.next()
	over()
	if !ok {
		err = errors.New("the cloud ended the answer too early")
	}
	if err != nil {
		return l.endWithoutCloud(ctx, err)
	}
	t.WaitMS = milliseconds(time.Since(start))
	return []infer.Token{t}, nil
}

// cloudStream is the cloud's answer to the session's tokens, with a last error.
func (l *loop) cloudStream(ctx context.Context) iter.Seq2[infer.Token, error] {
	return func(yield func(infer.Token, error) bool) {
		ids, err := l.syncCloudTokens()
		if err == nil {
			most := l.model.Context - len(l.cloudTokens)
			if l.opt.MaxTokens > 0 {
				most = min(most, l.opt.MaxTokens)
			}
			err = l.cloud.(Generator).Generate(ctx, ids, most, l.opt.IgnoreEnd, func(id int32, confidence, margin float64) bool {
				l.cloudTokens = append(l.cloudTokens, id)
				t := infer.Token{ID: id, Source: infer.FromCloud, Verified: true, Confidence: confidence, Margin: margin}
				if l.opt.Logprobs { // it is the likeliest
					t.Logprob = math.Log(confidence)
				}
				return yield(t, nil)
			})
		}
		if err != nil {
			yield(infer.Token{}, err)
		}
	}
}

// syncCloudTokens has the cloud forget what the session's tokens do not begin with, and
// returns those that it does not have. The last one is among them: what comes
// after it is wanted.
func (l *loop) syncCloudTokens() ([]int32, error) {
	kept := 0
	for kept < min(len(l.cloudTokens), len(l.tokens)-1) && l.cloudTokens[kept] == l.tokens[kept] {
		kept++
	}
	if kept < len(l.cloudTokens) {
		if err := l.cloud.Truncate(kept); err != nil {
			return nil, err
		}
	}
	l.cloudTokens = slices.Clone(l.tokens)
	return l.cloudTokens[kept:], nil
}
