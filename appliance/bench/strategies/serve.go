package strategies

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
)

// This file has many clients served by one cloud that is real: its process, its scheduler, the
// sessions and what they send. The boards are played, as there are more of them than cores: what they
// compute takes the time that was measured of this edge, and what they say was recorded. A client that
// only reads what the cloud streams computes nothing that would have to be played.

// ErrBusy is wrapped by the errors of a cloud that has more to do than it can in good time: so many
// clients are too many.
var ErrBusy = errors.New("the cloud has too much to do")

// ClientsPerWhole is how many times as many clients of a variant are tried as of the whole model.
const ClientsPerWhole = 8

// MostServed is how many are tried at most.
const MostServed = 48

// mostServed is how many clients are tried.
func (b *Bench) mostServed() int { return min(ClientsPerWhole*slices.Max(b.Serve), MostServed) }

// Sessions is how many sessions the cloud wants room for at a time, 0 for a few: more than there are clients, as
// one that was closed may still be on its way out.
func (b *Bench) Sessions() int {
	if len(b.Serve) == 0 {
		return 0
	}
	return b.mostServed() * 5 / 4
}

// serveOn measures on a link how many clients of each variant the cloud serves as fast as so many of
// the whole model.
func (b *Bench) serveOn(ctx context.Context, f facts, l Link) (rows []Row, err error) {
	f.cloud = medianPass(b.passes)
	spec := l.At(f.cloud.T)
	s := sim.Setting{
		T: f.cloud.T, M: m(f.cloud.All), Slow: f.slow, RTT: spec.RTT.Seconds(), Rate: spec.Rate, Width: b.Width,
		Exit1: f.split, Exit2: max(b.Split2, f.split), Head: b.Head, Draft: f.draft,
	}
	variants := slices.DeleteFunc(slices.Clone(b.Variants), func(v Variant) bool { return v.Auto || !v.strategy(b.thresholds(v), true).Shares() })
	for _, v := range variants {
		rows = append(rows, b.row(v, spec, f.cloud.T))
		rows[len(rows)-1].Slow = f.slow
	}
	answers := map[string][]sim.Answer{}
	for _, v := range variants {
		if answers[v.Name], err = b.walks(ctx, v); err != nil {
			return nil, err
		}
	}
	for _, n := range b.Serve {
		within, err := b.served(ctx, s, variants[0], l, answers[variants[0].Name], n)
		if err != nil {
			return nil, err
		}
		for i, v := range variants {
			c := Clients{Whole: n, Within: within, Clients: n}
			if i > 0 {
				if c.Clients, err = b.mostWithin(ctx, s, v, l, answers[v.Name], n, within); err != nil {
					return nil, fmt.Errorf("%s: %w", v.Name, err)
				}
			}
			rows[i].Clients = append(rows[i].Clients, c)
		}
	}
	return rows, nil
}

// mostWithin is how many clients of a variant have a token within a time, to a quarter, tried from n on.
func (b *Bench) mostWithin(ctx context.Context, s sim.Setting, v Variant, l Link, answers []sim.Answer, n int, within float64) (int, error) {
	enough, few := 0, b.mostServed()+1
	for few-enough > max(1, enough/4) {
		p, err := b.served(ctx, s, v, l, answers, n)
		if err != nil {
			return 0, err
		}
		if p <= within {
			enough = n
		} else {
			few = n
		}
		switch {
		case few > b.mostServed():
			n = min(2*n, b.mostServed())
		default:
			n = (enough + few) / 2
		}
		if n == 0 || n == enough {
			break
		}
	}
	return enough, nil
}

// served is the time for a token that 95 of 100 answers of n clients keep to, over the answer from its
// first token on, in seconds.
func (b *Bench) served(ctx context.Context, s sim.Setting, v Variant, l Link, answers []sim.Answer, n int) (float64, error) {
	b.report(fmt.Sprintf("%s: %d clients", v.Name, n), 0, 0)
	every, end := s.Every(answers), b.ServeFor.Seconds()
	times := make([][]float64, n)
	work, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range n {
		c := &boardOf{Bench: b, v: v, began: began, rng: rand.New(rand.NewPCG(b.Seed, uint64(i)))}
		pace := sim.Pace{Turn: i, Start: every * float64(i) / float64(n), Every: every, Settled: end / 5, End: end}
		work.Go(func() (err error) {
			link := Link{} // the simulation plays it
			if v.streams() {
				link = l
			}
			if c.conn, err = b.Cloud.Dial(ctx, link.At(s.T)); err != nil {
				return err
			}
			defer c.conn.Close()
			if v.streams() {
				times[i], err = c.reads(ctx, pace)
				return err
			}
			defer func() { c.close() }()
			times[i] = s.Serve(v.strategy(b.thresholds(v), b.Edge.Draft != nil), answers, pace, func(r sim.Request) (float64, bool) {
				err = c.ask(ctx, r)
				return time.Since(began).Seconds(), err == nil
			})
			return err
		})
	}
	if err := work.Wait(); errors.Is(err, ErrBusy) {
		return math.Inf(1), nil
	} else if err != nil {
		return 0, err
	}
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	if len(all) == 0 {
		return math.Inf(1), nil
	}
	return all[min(len(all)-1, len(all)*95/100)], nil
}

// boardOf is one client.
type boardOf struct {
	*Bench
	v       Variant
	conn    Conn
	began   time.Time
	session Session
	pos     int
	rng     *rand.Rand
}

func (c *boardOf) close() {
	if c.session != nil {
		c.session.Close()
	}
	c.session, c.pos = nil, 0
}

// ask has the cloud compute, at the time that it is wanted.
func (c *boardOf) ask(ctx context.Context, r sim.Request) (err error) {
	if r.First {
		c.close()
		if c.session, err = c.conn.Open(ctx, c.v); err != nil {
			return err
		}
	}
	if err := sleepUntil(ctx, c.began, r.At); err != nil {
		return err
	}
	if err := c.session.Append(c.pos, c.rows(r.Rows)); err != nil {
		return err
	}
	c.pos += r.Rows
	if r.Want > 1 {
		_, _, err = c.session.AskRows(ctx, c.pos-1, r.Want, likeliestRows)
	} else {
		_, _, err = c.session.Ask(ctx, c.pos-1, likeliestRows)
	}
	if err == nil && r.Lost > 0 {
		c.pos -= r.Lost
		err = c.session.Truncate(c.pos)
	}
	return err
}

// likeliestRows is how many of the likeliest tokens come back.
const likeliestRows = 2

// rows are token ids, or hidden states that mean nothing and are as large as others.
func (c *boardOf) rows(n int) []float32 {
	if c.v.tokenIDs() {
		out := make([]float32, n)
		for i := range out {
			p := c.Prompts[i%len(c.Prompts)]
			out[i] = float32(p[c.rng.IntN(len(p))])
		}
		return out
	}
	out := make([]float32, n*c.Width)
	for i := range out {
		out[i] = float32(c.rng.NormFloat64())
	}
	return out
}

// reads has the cloud stream answers, and times the tokens of each.
func (c *boardOf) reads(ctx context.Context, p sim.Pace) (times []float64, err error) {
	m, err := c.v.On(c.Edge)
	if err != nil {
		return nil, err
	}
	m.Draft, m.Whole, m.Learnt = nil, nil, new(decode.Learnt)
	for start := p.Start; time.Since(c.began).Seconds() < p.End; p.Turn, start = p.Turn+1, start+p.Every {
		if start >= p.End {
			break
		}
		s, err := c.conn.Open(ctx, c.v)
		if err != nil {
			return nil, err
		}
		if err = sleepUntil(ctx, c.began, start); err == nil {
			var a decode.Result
			a, err = c.v.Generate(ctx, m, &metered{clock: &clock{slow: 1}, Session: s}, c.Prompts[p.Turn%len(c.Prompts)], decode.Options{MaxTokens: c.MaxTokens, IgnoreEnd: true})
			if n := len(a.Tokens) - 1; err == nil && n > 0 && time.Since(c.began)-a.Total+a.FirstToken >= seconds(p.Settled) {
				times = append(times, (a.Total-a.FirstToken).Seconds()/float64(n))
			}
		}
		if s.Close(); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// sleepUntil waits until so many seconds have gone by since a time.
func sleepUntil(ctx context.Context, since time.Time, at float64) error {
	t := time.NewTimer(time.Until(since.Add(seconds(at))))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
