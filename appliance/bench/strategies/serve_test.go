package strategies

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/cloudlink/linksim"
)

// oneByOne is a cloud that takes a while for an ask, whatever else waits, and serves one at a time; of
// more than so many it will not have any.
type oneByOne struct {
	Cloud
	turn chan struct{}
	most int
}

type oneConn struct {
	Conn
	cloud *oneByOne
}

type oneSession struct {
	Session
	cloud *oneByOne
}

func (c *oneByOne) Dial(context.Context, linksim.Spec) (Conn, error) { return oneConn{cloud: c}, nil }
func (c oneConn) Open(context.Context, Variant) (Session, error) {
	return oneSession{cloud: c.cloud}, nil
}
func (c oneConn) Close() error                   { return nil }
func (s oneSession) Close() error                { return nil }
func (s oneSession) Append(int, []float32) error { return nil }
func (s oneSession) Truncate(int) error          { return nil }
func (s oneSession) Ask(ctx context.Context, _, _ int) (decode.Row, time.Duration, error) {
	_, _, err := s.AskRows(ctx, 0, 1, 1)
	return decode.Row{}, 0, err
}

func (s oneSession) AskRows(context.Context, int, int, int) ([]decode.Row, time.Duration, error) {
	select {
	case s.cloud.turn <- struct{}{}:
	default:
		return nil, 0, fmt.Errorf("%w: asked by too many", ErrBusy)
	}
	defer func() { <-s.cloud.turn }()
	time.Sleep(time.Duration(len(s.cloud.turn)) * 10 * time.Millisecond)
	return nil, 0, nil
}

// As many clients are served as have their tokens in time, and a cloud that is too busy for some has
// too many.
func TestServedWithinATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := ParseVariant("verified-ids")
		cloud := &oneByOne{turn: make(chan struct{}, 6)}
		b := &Bench{Cloud: cloud, Edge: decode.Model{Draft: &decode.DraftModel{}, Exits: make([]decode.Exit, 1)},
			Options: Options{Variants: []Variant{{}, v}, Prompts: [][]int32{{1, 2}}, Serve: []int{2}, ServeFor: 20 * time.Second}}
		s := sim.Paper()
		s.T, s.RTT, s.Draft = 1e-4, 0, 100 // no client rests, and nothing is drafted: each token is asked for
		answers := []sim.Answer{{Prompt: 2, Tokens: make([]sim.Token, 100)}}
		for _, c := range []struct {
			within time.Duration
			want   int
		}{{5 * time.Millisecond, 0}, {35 * time.Millisecond, 3}, {time.Second, 6}} {
			got, err := b.mostWithin(t.Context(), s, v, Link{}, answers, 2, c.within.Seconds())
			if err != nil || got != c.want {
				t.Errorf("within %s: %d clients, want %d (%v)", c.within, got, c.want, err)
			}
		}
	})
}
