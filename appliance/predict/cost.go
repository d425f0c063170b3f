package predict

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Batch is what further positions of a batch cost, by its size, in ascending order. Between
// measured sizes the cost of the whole batch is interpolated, beyond the largest its share
// stays. Empty: as much as a first one each.
type Batch []BatchPoint

// BatchPoint says that a batch of Rows costs 1 + Share (Rows-1) passes of one position.
type BatchPoint struct {
	Rows  int     `json:"rows"`
	Share float64 `json:"share"`
}

// EvenBatch is a batch of any size at the same share.
func EvenBatch(m float64) Batch { return Batch{{Rows: 2, Share: m}} }

// passes are those of one position that a batch of rows costs: never less than a smaller
// batch.
func (b Batch) passes(rows float64) float64 {
	if rows <= 1 {
		return max(rows, 0)
	}
	if len(b) == 0 {
		return rows
	}
	atRows, at := 1.0, 1.0
	for _, p := range b {
		r := float64(p.Rows)
		if r <= atRows {
			continue
		}
		next := max(at, 1+p.Share*(r-1))
		if rows <= r {
			return at + (next-at)*(rows-atRows)/(r-atRows)
		}
		atRows, at = r, next
	}
	return max(at, 1+b[len(b)-1].Share*(rows-1))
}

// after is the mean cost of a batch that has one position and those skipped before it, each
// of which was skipped with probability p.
func (b Batch) after(p float64) float64 {
	if p >= 1 {
		return math.Inf(1)
	}
	const unlikely = 1e-9
	sum, left, k := 0.0, 1.0, 1.0
	for ; left > unlikely && k < longestRun; k++ {
		sum += left * (1 - p) * b.passes(k)
		left *= p
	}
	return sum + left*b.passes(k+p/(1-p)) // the rest, by its mean
}

// longestRun bounds what is summed up of a geometric distribution.
const longestRun = 2048

// Machine computes.
type Machine struct {
	Pass  float64 // the whole model for one position, 0 where there is no such machine
	Batch Batch
	// Check is Batch where the logits of all rows are wanted, as drafts are checked; empty: as
	// Batch.
	Check Batch
	// Memory in bytes that a model may have; 0: it is not known, and all fits.
	Memory int64
}

// batch is the time of rows positions through a share of the model.
func (m Machine) batch(rows, share float64) float64 { return m.Pass * share * m.Batch.passes(rows) }

// check is batch with the logits of all rows.
func (m Machine) check(rows, share float64) float64 {
	if len(m.Check) > 0 {
		m.Batch = m.Check
	}
	return m.batch(rows, share)
}

// Link between board and cloud.
type Link struct {
	RTT       float64 // smoothed
	Deviation float64 // of it
	Rate      float64 // bytes a second up, 0 for no limit
	Loss      float64 // share of packets, each way
}

// RoundTrip is what a question and its answer travel: as often as either is lost, the probe
// timeout of RFC 9002, section 6.2.1, more.
func (l Link) RoundTrip() float64 { return l.RTT + 2*l.Loss*(l.RTT+4*l.Deviation) }

// upload is the time of bytes on the wire.
func (l Link) upload(bytes float64) float64 {
	if l.Rate == 0 {
		return 0
	}
	return bytes / l.Rate
}

// Disclosure is what the cloud may see of a conversation.
type Disclosure string

// The disclosures.
const (
	Text    Disclosure = "text"    // token ids go up; the cloud has the whole model
	Hidden  Disclosure = "hidden"  // hidden states go up
	Nothing Disclosure = "nothing" // nothing does
)

// Draft proposes tokens on the board.
type Draft struct {
	Cost      float64 // of a token, in passes of the whole model on the same machine
	CloudCost float64 // the same where the cloud drafts for itself, 0: as Cost
	// Acceptance is the share of its tokens that the whole model would have said.
	Acceptance float64
	// Believed, by ascending confidence, is what was measured of tokens from a confidence on.
	Believed []Believed
	// Stages is set where the draft are exits of the model's own first stage, whose hidden
	// states come with it.
	Stages bool
	// Unfit is why the draft does not speak alone, "" where it does.
	Unfit string
}

// Believed says of the tokens of at least a confidence which share of all they are, and
// which share of them the whole model would have said.
type Believed struct {
	Confidence float64 `json:"confidence"`
	Share      float64 `json:"share"`
	Right      float64 `json:"right"`
}

// from returns what was measured from the lowest confidence on that is at least threshold:
// nothing is believed above the last.
func (d Draft) from(threshold float64) Believed {
	for _, b := range d.Believed {
		if b.Confidence >= threshold {
			return b
		}
	}
	return Believed{Confidence: threshold, Right: 1}
}

// Exits of the model's own blocks, as a draft.
type Exits struct {
	First, Second  float64 // depths as shares of the model; Second is First where there is one
	Head           float64 // of one exit head, in passes
	Share1, Share2 float64 // of tokens that are believed at the first, and at either
	Right          float64 // share of the believed that the whole model would have said
	Acceptance     float64 // of all tokens, each from the deepest exit that was computed
}

// Draft is what the exits cost and say: the second computes what it has skipped as one batch
// when it is next wanted.
func (e Exits) Draft(b Batch) *Draft {
	cost := e.First + e.Head
	if e.Second > e.First && e.Share1 < 1 {
		cost += (1 - e.Share1) * ((e.Second-e.First)*b.after(e.Share1) + e.Head)
	}
	return &Draft{
		Cost: cost, Acceptance: e.Acceptance, Stages: true,
		Believed: []Believed{{Confidence: 0, Share: e.Share2, Right: e.Right}},
	}
}

// Lookup of n-grams in the context.
type Lookup struct {
	Share      float64 // of positions that have a match
	Acceptance float64 // of what follows it
}

// Case is what a prediction is of.
type Case struct {
	Board Machine
	Cloud Machine // Pass 0: there is none
	Link  Link
	May   Disclosure

	Split      float64 // the first stage as a share of the model, 0: it is not split
	RowBytes   float64 // of one position's hidden state on the wire
	WholeBytes int64   // memory of the whole model on the board, its KV cache included
	BoardBytes int64   // memory of the board's stages or its draft

	Draft     *Draft // nil for none
	Threshold float64
	Lookup    Lookup
	Prompt    int // positions
	Answer    int // tokens
}

// ErrCase is wrapped by the errors of Check.
var ErrCase = errors.New("this cannot be predicted")

// Check returns what is impossible about a case.
func (c Case) Check() error {
	type value struct {
		name string
		v    float64
		most float64
	}
	values := []value{
		{"the board's pass", c.Board.Pass, 3600}, {"the cloud's pass", c.Cloud.Pass, 3600},
		{"the round trip", c.Link.RTT, 3600}, {"the deviation of the round trip", c.Link.Deviation, 3600},
		{"the rate", c.Link.Rate, 1e15}, {"the loss", c.Link.Loss, 1}, {"the split", c.Split, 1},
		{"the bytes of a hidden state", c.RowBytes, 1e9},
		{"the share of positions with a match", c.Lookup.Share, 1}, {"the acceptance of a match", c.Lookup.Acceptance, 1},
		{"the prompt's length", float64(c.Prompt), 1e9}, {"the answer's length", float64(c.Answer), 1e9},
	}
	for _, p := range slices.Concat(c.Board.Batch, c.Cloud.Batch, c.Board.Check, c.Cloud.Check) {
		values = append(values, value{fmt.Sprintf("a further position's share in a batch of %d", p.Rows), p.Share, 100})
	}
	if d := c.Draft; d != nil {
		values = append(values, value{"the draft's cost", d.Cost, 100}, value{"the draft's cost in the cloud", d.CloudCost, 100}, value{"the draft's acceptance", d.Acceptance, 1})
		for _, b := range d.Believed {
			values = append(values, value{"the share of drafts that are believed", b.Share, 1})
		}
	}
	for _, v := range values {
		if !(v.v >= 0 && v.v <= v.most) {
			return fmt.Errorf("%w: %s is %g: give 0 to %g", ErrCase, v.name, v.v, v.most)
		}
	}
	switch {
	case c.Board.Pass == 0:
		return fmt.Errorf("%w: nothing is known of the board's speed: give the time of one pass", ErrCase)
	case c.Answer < 1:
		return fmt.Errorf("%w: the answer has no token: give at least 1", ErrCase)
	case c.May != Text && c.May != Hidden && c.May != Nothing:
		return fmt.Errorf("%w: what the cloud may see is %q: give %s, %s or %s", ErrCase, string(c.May), Text, Hidden, Nothing)
	}
	return nil
}

// sorted are the points by ascending size.
func (b Batch) sorted() Batch {
	return slices.SortedFunc(slices.Values(b), func(x, y BatchPoint) int { return cmp.Compare(x.Rows, y.Rows) })
}
