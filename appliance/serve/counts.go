package serve

import (
	"maps"
	"slices"
	"sync"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
	"skerry/appliance/status"
)

// recent is how many tokens are looked back at, and rateOver over how long the rate
// is taken.
const (
	recent   = 1000
	rateOver = 10 // seconds
)

// counts of tokens since the start.
type counts struct {
	mu      sync.Mutex // guards all following
	total   map[string]uint64
	last    [recent]who // a ring
	n       int         // tokens so far
	seconds [rateOver + 1]second
	asks    uint64
	answers uint64
	prompt  uint64
	cached  uint64
	firstMS float64
	changes []status.Change // of mode, the newest last
}

// mostChanges is how many changes of mode are remembered.
const mostChanges = 20

// change notes a change of mode, if it is one.
func (c *counts) change(d *decode.Change) {
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

// who said a token, and why it was not the cloud.
type who struct{ source, why string }

// second is how many tokens were said in it.
type second struct {
	at int64
	n  int
}

func newCounts() *counts { return &counts{total: map[string]uint64{}} }

func (c *counts) token(t answer.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total[t.Source]++
	c.last[c.n%recent] = who{t.Source, t.Why}
	c.n++
	now := time.Now().Unix()
	s := &c.seconds[now%int64(len(c.seconds))]
	if s.at != now {
		*s = second{at: now}
	}
	s.n++
}

// first notes how long an answer's first token took.
func (c *counts) first(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firstMS = float64(d.Microseconds()) / 1000
}

func (c *counts) answer(u answer.Usage, asks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers++
	c.asks += uint64(asks)
	c.prompt += uint64(u.Prompt)
	c.cached += uint64(u.Cached)
}

// status of the counts. The rate is that of the whole seconds gone by.
func (c *counts) status() status.Tokens {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := status.Tokens{
		Total: maps.Clone(c.total), Recent: map[string]int{}, Reasons: map[string]int{},
		Asks: c.asks, Answers: c.answers, Prompt: c.prompt, Cached: c.cached, FirstMS: c.firstMS,
	}
	for _, w := range c.last[:min(c.n, recent)] {
		t.Recent[w.source]++
		if w.why != "" {
			t.Reasons[w.why]++
		}
	}
	said, now := 0, time.Now().Unix()
	for _, s := range c.seconds {
		if s.at < now && s.at >= now-rateOver {
			said += s.n
		}
	}
	t.Rate = float64(said) / rateOver
	return t
}
