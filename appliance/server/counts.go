package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// recent is how many tokens are looked back at, and rateOver how many answers the
// rate is taken over.
const (
	recent   = 1000
	rateOver = 8
)

// counts of tokens since the start.
type counts struct {
	mu      sync.Mutex // guards all following
	total   map[string]uint64
	last    [recent]origin // a ring
	n       int            // tokens so far
	paces   [rateOver]pace // a ring
	begun   int            // answers that have a token
	asks    uint64
	answers uint64
	prompt  uint64
	cached  uint64
	firstMS float64
	changes []status.Change // of mode, the newest last

	checks            uint64
	drafted, accepted map[string]uint64 // by drafter
}

// mostChanges is how many changes of mode are remembered.
const mostChanges = 20

// change notes a change of mode, if it is one.
func (c *counts) change(d *infer.Change) {
	if d == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes = append(c.changes, status.Change{Time: time.Now().UTC(), To: string(d.To), Reason: d.Reason})
	c.changes = c.changes[max(0, len(c.changes)-mostChanges):]
}

// modes returns the changes of mode.
func (c *counts) modes() []status.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// origin of a token: which exit or the cloud, and why it was not the cloud.
type origin struct{ source, why string }

// pace is how fast the tokens of an answer come.
type pace struct {
	answer      int // which, counted from 1
	n           int // tokens so far
	first, last time.Time
}

func newCounts() *counts {
	return &counts{total: map[string]uint64{}, drafted: map[string]uint64{}, accepted: map[string]uint64{}}
}

// token counts a token that an answer has just got. which is 0 for the answer's first;
// for the others it is what the first returned.
func (c *counts) token(t infer.Token, which int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total[string(t.Source)]++
	c.last[c.n%recent] = origin{string(t.Source), string(t.Why)}
	c.n++
	now := time.Now()
	if which == 0 {
		c.begun++
		which = c.begun
		c.paces[which%rateOver] = pace{answer: which, first: now}
	}
	if p := &c.paces[which%rateOver]; p.answer == which {
		p.n, p.last = p.n+1, now
	}
	return which
}

// rate is tokens a second of the newest answers, each from its first token on, so that
// neither prompts nor the time between answers count. The caller holds mu.
func (c *counts) rate() float64 {
	var said int
	var took time.Duration
	for _, p := range c.paces {
		said, took = said+max(p.n-1, 0), took+p.last.Sub(p.first)
	}
	if took <= 0 {
		return 0
	}
	return float64(said) / took.Seconds()
}

// first notes how long an answer's first token took.
func (c *counts) first(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firstMS = float64(d.Microseconds()) / 1000
}

func (c *counts) answer(u infer.Usage, a decode.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	c.asks += uint64(a.Asks)
	c.prompt += uint64(u.Prompt)
	c.cached += uint64(u.Cached)
	c.checks += uint64(a.Checks)
	for by, p := range a.Proposed {
		c.drafted[string(by)] += uint64(p.Checked)
		c.accepted[string(by)] += uint64(p.Agreed)
	}
}

// status of the counts.
func (c *counts) status() status.Tokens {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := status.Tokens{
		Total: maps.Clone(c.total), Recent: map[string]int{}, Reasons: map[string]int{},
		Asks: c.asks, Answers: c.answers, Prompt: c.prompt, Cached: c.cached, FirstMS: c.firstMS,
		Checks: c.checks, Drafted: maps.Clone(c.drafted), Accepted: maps.Clone(c.accepted),
	}
	for _, w := range c.last[:min(c.n, recent)] {
		t.Recent[w.source]++
		if w.why != "" {
			t.Reasons[w.why]++
		}
	}
	t.Rate = c.rate()
	return t
}
