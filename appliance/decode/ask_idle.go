package decode

import (
	"context"
	"fmt"
	"time"

	"skerry/appliance/infer"
)

// endWithoutCloud is the end of an answer that nobody can go on with.
func (l *loop) endWithoutCloud(ctx context.Context, err error) ([]infer.Token, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.giveUpCloud(err)
	return nil, fmt.Errorf("%w: %w", errLost, err)
}

// askBlocking asks the cloud for the token after the last and does nothing else
// until it has it.
func (l *loop) askBlocking(ctx context.Context) (infer.Token, error) {
	l.asks++
	start := time.Now()
	over := l.reportWaiting()
	row, err := l.cloud.Ask(ctx, len(l.tokens)-1, l.topK())
	if err == nil && l.short(row) {
		l.asks++
		row, err = l.cloud.Ask(ctx, len(l.tokens)-1, 0)
	}
	over()
	if err != nil {
		return infer.Token{}, err
	}
	waited := milliseconds(time.Since(start))
	t, err := l.sampleCloud(row)
	t.WaitMS = waited
	return t, err
}
