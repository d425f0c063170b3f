package partition

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/rank"
	"skerry/cloudlink/wire"
)

// This file has the cloud go on with an answer by itself (wire.Lead). Whoever drafts and samples
// is a Leader; what it appends, takes back and asks for are positions of the session's context
// like those that a board sends, and share the stage with those of others in the same passes.

// Leader goes on with answers of a whole model. Its methods may be called concurrently.
type Leader interface {
	// Session returns what leads one session's answers, one at a time.
	Session() SessionLeader
}

// SessionLeader leads the answers of one session.
type SessionLeader interface {
	// Lead goes on with an answer after text, the tokens of the session so far. It checks what
	// it drafts with the model, and says the tokens that are decided, until one ends the answer. The
	// positions of text are there; those that it appends are to be the ones that it has said, once
	// it returns. The error says why the answer is not led, or is that of ctx, say or the model,
	// wrapped.
	Lead(ctx context.Context, text []int32, o LeadOptions, model *LedContext, say func(LedTokens) error) (LeadEnd, error)
	// Close frees what it holds.
	Close()
}

// LeadOptions are how a board wants an answer to be led.
type LeadOptions struct {
	Max, Begin int // tokens wanted, and the position of the answer's first
	IgnoreEnd  bool
	Draft      string // what may be drafted, "" for anything
	Sampler    []byte // settings, a JSON object
}

// LeadEnd is why an answer goes on no more.
type LeadEnd int

// The ends.
const (
	LeadStopped LeadEnd = iota // its last token ends it
	LeadMax                    // there are as many as were wanted
	LeadContext                // no position is left for another
)

// LedTokens are tokens that follow one another, and the passes that decided them.
type LedTokens struct {
	IDs                         []int32
	Confidence, Margin, Logprob []float32
	Checks, Drafted, Accepted   int
	Last                        bool // none follow, as End says why
	End                         LeadEnd
}

func (t LedTokens) cut(n int) (first, rest LedTokens) {
	first = LedTokens{IDs: t.IDs[:n], Confidence: t.Confidence[:n], Margin: t.Margin[:n], Logprob: t.Logprob[:n], Checks: t.Checks, Drafted: t.Drafted, Accepted: t.Accepted}
	return first, LedTokens{IDs: t.IDs[n:], Confidence: t.Confidence[n:], Margin: t.Margin[n:], Logprob: t.Logprob[n:], Last: t.Last, End: t.End}
}

// errLeft says that nobody waits any more for what a leader does: the board has begun
// another branch, is told to send its rows again, or has gone.
var errLeft = errors.New("the answer is led no longer")

// refusedLead is an error whose words are meant for the board.
type refusedLead struct{ refusal *wire.Error }

func (e *refusedLead) Error() string { return e.refusal.Text }

// LedContext is a session's context in the whole model as a leader has it. Its methods
// return an error once the answer is led no longer.
type LedContext struct {
	s      *session
	asked  *wire.Lead
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	heard  chan struct{} // holds one token when the board has taken more

	// guarded by sched.mu
	said    int  // one past the last token that was said
	taken   int  // one past the last that the board has taken
	ended   bool // the board knows that none follow
	queue   time.Duration
	compute time.Duration
}

// leading is the part of a session that its reader has for answers that are led.
type leading struct {
	wg      sync.WaitGroup
	running atomic.Int64 // with those that are yet to end
	current *LedContext
	leader  SessionLeader // made on first use
}

// maxLeads is how many answers of a session may be led, all but the last of which are ending.
const maxLeads = 8

// lead takes a Lead. An answer that was led before is led no longer.
func (s *session) lead(m *wire.Lead) {
	ref := &wire.Ask{Ref: m.Ref, Serial: m.Serial}
	switch {
	case m.Session != s.key.id || m.Epoch != s.epoch:
		s.conn.noteForeign("ask", m.Session, m.Epoch)
		s.reply(refusal(ref, wire.CodeStale, "an ask of another session or epoch"))
		return
	case s.sched.bundle.Leader == nil || !s.sched.whole():
		s.reply(refusal(ref, wire.CodeNoLead, "answers are not led here"))
		return
	case s.leading.running.Load() >= maxLeads:
		e := refusal(ref, wire.CodeBusy, "too many answers that were led before have not ended")
		e.RetryAfter = milliseconds(time.Second)
		s.reply(e)
		return
	}
	if s.leading.leader == nil {
		s.leading.leader = s.sched.bundle.Leader.Session()
	}
	before := s.leading.current
	if before != nil {
		before.cancel()
	}
	c := &LedContext{s: s, asked: m, done: make(chan struct{}), heard: make(chan struct{}, 1), said: int(m.Position) + 1, taken: int(m.Position) + 1}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	s.leading.current = c
	s.leading.running.Add(1)
	s.leading.wg.Go(func() {
		defer s.leading.running.Add(-1)
		defer close(c.done)
		if before != nil {
			<-before.done
		}
		c.run()
	})
}

// endLead has no answer be led any more and waits until none is.
func (s *session) endLead() {
	if c := s.leading.current; c != nil {
		c.cancel()
	}
	s.leading.wg.Wait()
	if s.leading.leader != nil {
		s.leading.leader.Close()
	}
}

// takenBy takes in how far a board has come.
func (s *session) takenBy(m *wire.Taken) {
	c := s.leading.current
	if c == nil || m.Serial != c.asked.Serial {
		return
	}
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	if pos := int(m.Position); m.Branch == c.asked.Branch && pos > c.taken && pos <= c.said {
		c.taken = pos
		signal(c.heard)
	}
}

// run leads the answer.
func (c *LedContext) run() {
	defer c.cancel()
	m, t, mu := c.asked, c.s.tail, &c.s.sched.mu
	mu.Lock()
	t.led = c
	mu.Unlock()
	end, err := c.lead()
	mu.Lock()
	defer mu.Unlock()
	current := c.current() == nil
	if t.led == c {
		t.led = nil
		t.asks = slices.DeleteFunc(t.asks, func(a *ask) bool { return a.local != nil })
		t.accountAsks()
		if t.started && t.branch == m.Branch && !t.missing { // what was drafted was not said
			t.cutTo(max(c.said, int(m.Position)+1))
		}
	}
	if !current || c.ended || errors.Is(err, errLeft) {
		return
	}
	ref := m.Ref
	ref.Position = uint64(c.said - 1)
	if refused := new(refusedLead); errors.As(err, &refused) {
		e := *refused.refusal
		e.Ref, e.Serial = ref, m.Serial
		c.s.reply(&e)
		return
	}
	if err != nil {
		c.s.reply(&wire.Error{Ref: ref, Serial: m.Serial, Code: wire.CodeNoLead, Text: err.Error()})
		return
	}
	c.s.reply(&wire.Led{Ref: ref, Serial: m.Serial, Stop: end.stop()})
}

// stop is the end as the wire has it.
func (e LeadEnd) stop() wire.Stop {
	switch e {
	case LeadMax:
		return wire.StopMax
	case LeadContext:
		return wire.StopContext
	}
	return wire.StopEnd
}

// lead waits for the row that the answer goes on from, and has the leader go on.
func (c *LedContext) lead() (LeadEnd, error) {
	m := c.asked
	if _, err := c.ask(c.ctx, int(m.Position), 1, 2); err != nil {
		return 0, err
	}
	c.s.sched.mu.Lock()
	text := slices.Clone(c.s.tail.text)
	left := c.current()
	if t := c.s.tail; left == nil && len(text) < t.queue.End() && t.resends {
		t.sendFrom(t.branch, 0)
		left = errLeft
	}
	if left == nil && len(text) != int(m.Position)+1 {
		left = &refusedLead{&wire.Error{Code: wire.CodeProtocol, Text: "positions were appended beyond the one to go on from"}}
	}
	c.s.sched.mu.Unlock()
	if left != nil {
		return 0, left
	}
	o := LeadOptions{Max: int(m.Max), Begin: int(m.Begin), IgnoreEnd: m.IgnoreEnd, Draft: m.Draft, Sampler: m.Sampler}
	return c.s.leading.leader.Lead(c.ctx, text, o, c, c.say)
}

// current returns why the answer is led no longer, nil while it is; mu is held.
func (c *LedContext) current() error {
	t := c.s.tail
	if c.ctx.Err() != nil || t.led != c || t.closed || t.failed || t.user != c.s || t.started && t.branch > c.asked.Branch {
		return errLeft
	}
	if t.missing && t.branch == c.asked.Branch {
		t.sendFrom(t.branch, t.queue.End())
		return errLeft
	}
	return nil
}

// Limit is how many positions the session may hold.
func (c *LedContext) Limit() int { return c.s.tail.limit }

// Append adds token ids at pos, as float32; those that are there are ignored.
func (c *LedContext) Append(pos int, ids []float32) error {
	s := c.s.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.current(); err != nil {
		return err
	}
	t := c.s.tail
	if pos+len(ids) > t.limit || pos > t.queue.End() {
		return &refusedLead{&wire.Error{Code: wire.CodeContextFull, Text: "tokens beyond the granted context"}}
	}
	if known := t.queue.End() - pos; known < len(ids) {
		t.queue.Append(pos+known, ids[known:])
		t.learn(pos+known, ids[known:])
		t.accountQueue()
		t.lastUsed = s.clock()
	}
	return nil
}

// Truncate forgets the positions from pos on.
func (c *LedContext) Truncate(pos int) error {
	c.s.sched.mu.Lock()
	defer c.s.sched.mu.Unlock()
	if err := c.current(); err != nil {
		return err
	}
	c.s.tail.cutTo(max(pos, int(c.asked.Position)+1))
	return nil
}

// LedRow is a row of logits: its best, or all of it.
type LedRow struct {
	Best      []rank.Candidate // by falling logit, ties by rising id
	All       []float32        // [n_vocab]float32, in their place
	LogSumExp float64          // of the whole row
}

// Ask returns the topK largest logits of each of the n rows up to pos, all of them where topK is
// 0, once they are computed.
func (c *LedContext) Ask(ctx context.Context, pos, n, topK int) ([]LedRow, error) {
	rows, err := c.ask(ctx, pos, n, topK)
	if err != nil {
		return nil, err
	}
	out := make([]LedRow, len(rows))
	for i, r := range rows {
		switch out[i].LogSumExp = r.sum; {
		case topK == 0:
			out[i].All = r.all
		case r.all != nil && topK > len(r.best):
			out[i].Best = rank.Top(r.all, min(topK, len(r.all)))
		default:
			out[i].Best = r.best[:min(topK, len(r.best))]
		}
	}
	return out, nil
}

// localRows are what became of an ask of a leader.
type localRows struct {
	rows           []row
	queue, compute time.Duration
	err            error
}

func (c *LedContext) ask(ctx context.Context, pos, n, topK int) ([]row, error) {
	s, t := c.s.sched, c.s.tail
	got := make(chan localRows, 1)
	s.mu.Lock()
	if err := c.current(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	ref := c.asked.Ref
	ref.Position = uint64(pos)
	now := s.clock()
	a := &ask{Ask: &wire.Ask{Ref: ref, TopK: uint32(topK), Rows: uint32(n)}, local: got}
	a.bytes = askOverhead + a.rowBytes(t.vocab())
	t.lastAsk, t.lastUsed = now, now
	t.take(a, now)
	s.mu.Unlock()
	s.wake()
	select {
	case r := <-got:
		s.mu.Lock()
		c.queue, c.compute = c.queue+r.queue, c.compute+r.compute
		s.mu.Unlock()
		return r.rows, r.err
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return nil, errLeft
}

// say tells the board of tokens, and waits while too many are on their way already.
func (c *LedContext) say(t LedTokens) error {
	for len(t.IDs) > 0 {
		sent, err := c.tell(&t)
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		select {
		case <-c.heard:
		case <-c.ctx.Done():
			return errLeft
		}
	}
	return nil
}

// tell sends as many of the tokens as may be on their way, and reports whether any may.
func (c *LedContext) tell(t *LedTokens) (sent bool, err error) {
	s := c.s.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.current(); err != nil {
		return false, err
	}
	n := min(len(t.IDs), int(c.asked.Window)-(c.said-c.taken))
	if n <= 0 {
		return false, nil
	}
	first, rest := t.cut(n)
	m := &wire.Led{
		Ref: c.asked.Ref, Serial: c.asked.Serial, IDs: first.IDs, Confidence: first.Confidence, Margin: first.Margin, Logprob: first.Logprob,
		Checks: uint32(first.Checks), Drafted: uint32(first.Drafted), Accepted: uint32(first.Accepted),
		Queue: uint64(max(c.queue, 0).Microseconds()), Compute: uint64(c.compute.Microseconds()),
	}
	m.Position = uint64(c.said - 1)
	if len(rest.IDs) == 0 && t.Last {
		m.Stop, c.ended = t.End.stop(), true
	}
	c.said, c.queue, c.compute = c.said+n, 0, 0
	c.s.reply(m)
	*t = rest
	return true, nil
}

// learn notes the token ids of positions from pos on, where the stage takes those. Of a context that
// was kept in a file those before it are not known until they are sent again.
func (t *tail) learn(pos int, ids []float32) {
	if t.sched == nil || !t.sched.whole() || pos > len(t.text) {
		return
	}
	for _, id := range ids[min(max(len(t.text)-pos, 0), len(ids)):] {
		t.text = append(t.text, int32(id))
	}
}

// cutTo forgets what was queued or computed at pos and above, on the same branch. Rows of a pass that
// is under way are then of nobody.
func (t *tail) cutTo(pos int) {
	if pos >= t.queue.End() {
		return
	}
	if pos < t.queue.Base() && (t.cut < 0 || pos < t.cut) {
		t.cut = pos
	}
	t.queue.Truncate(pos)
	t.accountQueue()
	t.kept.truncate(pos)
	t.text = t.text[:min(pos, len(t.text))]
	t.underWay = nil
	t.cuts++
}
