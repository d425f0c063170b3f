package decode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// This file has a model whose every logit depends on all positions before it: a row that is stale, at
// another place or left out anywhere changes the text.

// stir is a running sum of what was fed to it.
func stir(before, x uint64) uint64 {
	x += before ^ 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const stirredWidth = 4

// rowOf is a sum as a hidden state, sumOf the way back; a row of width 1 is a token id.
func rowOf(sum uint64) (row []float32) {
	for i := range stirredWidth {
		row = append(row, float32(sum>>(16*i)&0xffff))
	}
	return row
}

func sumOf(row []float32) (sum uint64) {
	if len(row) == 1 {
		return stir(0, uint64(row[0]))
	}
	for i, v := range row {
		sum |= uint64(v) << (16 * i)
	}
	return sum
}

// logitsOf are logits that a sum says, with some room for sampling.
func logitsOf(sum uint64, size int) []float32 {
	out := make([]float32, size)
	for i := range 6 {
		out[300+(sum>>(8*i))%24] += 5 - float32(i)*0.9
	}
	return out
}

// What speaks for a text: the whole model, and others that are right now and then.
const (
	byWhole = iota
	byDraft
	byExit
)

// stirred is a stage of sequences: of the tokens the head, the whole model or a draft, of hidden states
// the tail.
type stirred struct {
	width  int // of what it takes: 0 for tokens
	by     int
	vocab  int
	takes  time.Duration
	chance func() bool // of failing; nil: never

	mu   sync.Mutex
	held map[int][][2]uint64 // by sequence and position: the head's sum and the tail's
}

var _ SequenceStore = (*stirred)(nil)

func newStirred(width, by, vocab int, takes time.Duration) *stirred {
	return &stirred{width: width, by: by, vocab: vocab, takes: takes, held: map[int][][2]uint64{}}
}

func (s *stirred) Width() int { return max(s.width, stirredWidth) }

func (s *stirred) Forward(b engine.Batch) (out engine.Output, err error) {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance != nil && s.chance() {
		return out, errors.New("out of memory")
	}
	held := map[int][][2]uint64{}
	for i, p := range b.Pos {
		seq := int(b.Seq[i])
		if held[seq] == nil {
			held[seq] = slices.Clip(s.held[seq])
		}
		h := held[seq]
		if int(p) != len(h) {
			return engine.Output{}, fmt.Errorf("position %d of sequence %d, which holds %d", p, seq, len(h))
		}
		var last [2]uint64
		if p > 0 {
			last = h[p-1]
		}
		var next [2]uint64
		if s.width > 0 {
			next[0] = sumOf(b.Hidden[i*s.width : (i+1)*s.width])
		} else {
			next[0] = stir(last[0], stir(0, uint64(b.Tokens[i])))
		}
		next[1] = stir(last[1], next[0])
		held[seq] = append(h, next)
		if b.Want[i]&engine.WantHidden != 0 {
			out.Hidden = append(out.Hidden, rowOf(next[0])...)
		}
		if b.Want[i]&engine.WantLogits != 0 {
			out.Logits = append(out.Logits, spoken(s.by, next, s.vocab)...)
		}
	}
	for seq, h := range held {
		s.held[seq] = h
	}
	return out, nil
}

// spoken are the logits of who speaks, after a text of these sums.
func spoken(by int, sums [2]uint64, size int) []float32 {
	if by == byWhole || stir(uint64(by), sums[1])%3 > 0 { // a draft is right two times of three
		return logitsOf(sums[1], size)
	}
	return logitsOf(stir(uint64(by), sums[0]), size)
}

func (s *stirred) Truncate(seq, pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[seq] = s.held[seq][:min(max(pos, 0), len(s.held[seq]))]
	return nil
}

func (s *stirred) Position(seq int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held[seq])
}

func (s *stirred) Copy(from, to, pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[to] = slices.Clone(s.held[from][:min(pos, len(s.held[from]))])
	return nil
}

func (s *stirred) ExportPrefix(seq, pos int) (out []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held[seq][:pos] {
		out = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(out, h[0]), h[1])
	}
	return out, nil
}

func (s *stirred) Import(seq int, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[seq] = nil
	for ; len(state) >= 16; state = state[16:] {
		s.held[seq] = append(s.held[seq], [2]uint64{binary.LittleEndian.Uint64(state), binary.LittleEndian.Uint64(state[8:])})
	}
	return nil
}

// stirredHead is an exit's.
type stirredHead struct{ vocab int }

func (stirredHead) Tokens() []int32 { return nil }

func (h stirredHead) Logits(hidden []float32) ([]float32, error) {
	sum := sumOf(hidden)
	return spoken(byExit, [2]uint64{sum, sum}, h.vocab), nil
}

// trouble is what may happen to a cloud's answers.
type trouble struct {
	rng     *rand.Rand
	mu      *sync.Mutex
	often   float64
	outages [2]time.Time // it cannot be had between these
}

func (u *trouble) next() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); now.After(u.outages[0]) && now.Before(u.outages[1]) {
		return lostForNow
	}
	if u.rng.Float64() >= u.often {
		return nil
	}
	switch u.rng.IntN(12) {
	case 0:
		return &TransientError{Err: errCut, Busy: true, RetryAfter: time.Duration(u.rng.IntN(300)) * time.Millisecond}
	case 1:
		now := time.Now()
		u.outages = [2]time.Time{now, now.Add(time.Duration(u.rng.IntN(20000)) * time.Millisecond)}
	case 2:
		return errUnauthorized
	}
	return lostForNow
}

func (u *trouble) pause() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rng.IntN(20) == 0 {
		return time.Duration(u.rng.IntN(400)) * time.Millisecond
	}
	return time.Duration(5+u.rng.IntN(30)) * time.Millisecond
}

// stirredCloud computes what goes up, in its place, and goes on by itself where that are tokens.
type stirredCloud struct {
	trouble
	stage  *stirred
	rows   []float32
	oneRow bool
	wrong  error // what was done to it that may not be
	said   func(text []int32, o LeadOptions, size int) []int32
}

func (c *stirredCloud) width() int { return c.stage.width }
func (c *stirredCloud) end() int   { return len(c.rows) / c.width() }

func (c *stirredCloud) fail(err error) error {
	if c.wrong == nil {
		c.wrong = err
	}
	return err
}

func (c *stirredCloud) Append(pos int, rows []float32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.width()
	for i := 0; i < len(rows)/w; i++ {
		at, row := pos+i, rows[i*w:(i+1)*w]
		switch {
		case at > c.end():
			return c.fail(fmt.Errorf("position %d was appended to %d", at, c.end()))
		case at == c.end():
			c.rows = append(c.rows, row...)
		case !slices.Equal(row, c.rows[at*w:(at+1)*w]):
			return c.fail(fmt.Errorf("another row was appended at position %d of %d", at, c.end()))
		}
	}
	return nil
}

func (c *stirredCloud) Truncate(pos int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pos > c.end() {
		return c.fail(fmt.Errorf("truncated to %d of %d", pos, c.end()))
	}
	c.rows = c.rows[:pos*c.width()]
	return nil
}

func (c *stirredCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	rows, err := c.askRows(ctx, pos, 1, topK)
	if err != nil {
		return Row{}, err
	}
	return rows[0], nil
}

func (c *stirredCloud) AskRows(ctx context.Context, pos, n, topK int) ([]Row, error) {
	if c.oneRow {
		return nil, ErrOneRow
	}
	return c.askRows(ctx, pos, n, topK)
}

func (c *stirredCloud) askRows(ctx context.Context, pos, n, topK int) (out []Row, err error) {
	c.mu.Lock()
	if pos >= c.end() { // it waits for the row, as one does that is rolled back before it was put
		c.mu.Unlock()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	rows := slices.Clone(c.rows[:(pos+1)*c.width()])
	c.mu.Unlock()
	select {
	case <-time.After(c.pause()):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := c.next(); err != nil {
		return nil, err
	}
	sums, w := [2]uint64{}, c.width()
	for i := range len(rows) / w {
		sums = c.step(sums, rows[i*w:(i+1)*w])
		if i > pos-n {
			out = append(out, topOf(spoken(byWhole, sums, c.stage.vocab), topK))
		}
	}
	return out, nil
}

// step is what the cloud makes of the next row.
func (c *stirredCloud) step(sums [2]uint64, row []float32) [2]uint64 {
	if len(row) == 1 {
		sums[0] = stir(sums[0], sumOf(row))
	} else {
		sums[0] = sumOf(row)
	}
	return [2]uint64{sums[0], stir(sums[1], sums[0])}
}

// stirredLeader is one that may go on by itself.
type stirredLeader struct{ *stirredCloud }

func (c stirredLeader) Lead(ctx context.Context, o LeadOptions, yield func([]infer.Token, Led) bool) error {
	for left := o.Max; left > 0; {
		select {
		case <-time.After(c.pause()):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.next(); err != nil {
			return err
		}
		c.mu.Lock()
		var text []int32
		for _, id := range c.rows {
			text = append(text, int32(id))
		}
		said := c.said(text, o, min(left, 1+c.rng.IntN(5)))
		start := c.end()
		for _, id := range said {
			c.rows = append(c.rows, float32(id))
		}
		c.mu.Unlock()
		var tokens []infer.Token
		for _, id := range said {
			tokens = append(tokens, infer.Token{ID: id, Confidence: 0.5})
		}
		if !yield(tokens, Led{Checks: 1}) {
			return c.Truncate(start)
		}
		left -= len(said)
	}
	return nil
}
