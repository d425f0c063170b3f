package partition

import (
	"slices"
	"time"

	"skerry/cloudlink/backlog"
	"skerry/cloudlink/wire"
)

const (
	// maxAsks is how many asks of one session may wait.
	maxAsks = 256
	// maxDeadline is the longest an ask may wait, in µs.
	maxDeadline = 3600e6
)

// tail is one session's context in a stage: the hidden states not yet
// computed and the asks that wait. The scheduler's mu guards it.
type tail struct {
	flow
	place
	sched *scheduler
	lane  *lane
	mem   *memory

	seq    int
	limit  int // positions granted
	queued int // positions that may stay uncomputed
	reply  func(wire.Message)
	fail   func(*wire.Error)

	branch  uint32
	started bool // the uplink of branch has come
	queue   *backlog.Backlog
	cut     int // the stage forgets from here on before it computes more; -1 for nothing
	asks    []*ask
	kept    int    // position of keptRow, -1 for none
	keptRow logits // of the last answer
	failed  bool   // what the stage holds of it is not known
	closed  bool

	weight  int64     // bytes of queue, as counted in mem
	lastAsk time.Time // the newest ask
	fullAt  time.Time // since when the queue is full, zero for not
	idle    int       // rows nobody is in a hurry for, in the plan being made
	granted int       // rows, in the plan being made
	unpaid  int       // rows computed while it was not sure whose it is
}

// ask is an Ask that waits, with what it cost so far.
type ask struct {
	*wire.Ask
	gen     *wire.Generate // makes it one after another, nil for a single ask
	until   time.Time      // when the board stops waiting, zero for never
	taken   bool           // once it has been admitted
	ready   time.Time      // when all its rows were there, zero before
	compute time.Duration
	rows    int
}

func (a *ask) pos() int { return int(a.Position) }

func (a *ask) expired(now time.Time) bool { return !a.until.IsZero() && now.After(a.until) }

func newTail(seq, limit, queued, width int) *tail {
	return &tail{seq: seq, limit: limit, queued: queued, queue: backlog.New(width), cut: -1, kept: -1}
}

// refusal makes an error that refuses one ask.
func refusal(a *wire.Ask, code wire.Code, text string) *wire.Error {
	return &wire.Error{Ref: a.Ref, Serial: a.Serial, Code: code, Text: text}
}

// rebranch takes the header of an uplink. It returns an error that ends the
// session, and false when the branch is older than the current one.
func (t *tail) rebranch(h *wire.UplinkHeader, now time.Time) (current bool, refused *wire.Error) {
	if t.outdated(h.Branch, h.Since) {
		t.forget()
	}
	if t.closed || t.started && h.Branch < t.branch {
		return false, nil
	}
	if t.started && h.Branch == t.branch {
		return false, &wire.Error{Ref: h.Ref, Code: wire.CodeProtocol, Text: "a second uplink for one branch"}
	}
	t.used, t.fresh = now, false
	keep := min(int(h.Keep), t.queue.End())
	if int(h.Position) > keep && !t.resends {
		return false, t.gap()
	}
	t.branch, t.started = h.Branch, true
	t.said, t.missing = false, false
	t.asks = slices.DeleteFunc(t.asks, func(a *ask) bool { return a.Branch < h.Branch })
	if keep < t.queue.Base() && (t.cut < 0 || keep < t.cut) {
		t.cut = keep
	}
	t.queue.Truncate(keep)
	t.weigh()
	if t.kept >= keep {
		t.kept = -1
	}
	t.reconsider(now)
	if int(h.Position) > keep {
		t.lack()
	}
	t.evicted = t.missing
	return true, nil
}

// reconsider takes the asks that came before their branch again: the rows of
// some may have been computed on the branch before.
func (t *tail) reconsider(now time.Time) {
	early := t.asks
	t.asks = nil
	for _, a := range early {
		a.ready = time.Time{}
		t.take(a, now)
	}
}

func (t *tail) gap() *wire.Error {
	return &wire.Error{
		Ref: wire.Ref{Branch: t.branch, Position: uint64(t.queue.End())}, Code: wire.CodeSendFrom,
		Text: "hidden states are missing",
	}
}

// append queues rows of the current branch.
func (t *tail) append(pos int, rows []float32, width int, now time.Time) *wire.Error {
	if end := pos + len(rows)/width; end > t.limit {
		return &wire.Error{
			Ref: wire.Ref{Branch: t.branch, Position: uint64(t.limit)}, Code: wire.CodeContextFull,
			Text: "hidden states beyond the granted context",
		}
	}
	if t.used = now; t.missing {
		return nil
	}
	if pos < t.queue.Base() {
		known := min((t.queue.Base()-pos)*width, len(rows))
		pos, rows = t.queue.Base(), rows[known:]
	}
	if err := t.queue.Append(pos, rows); err != nil {
		if t.resends {
			t.lack()
			return nil
		}
		return t.gap()
	}
	t.weigh()
	t.markReady(now)
	return nil
}

// ask takes an ask: it waits, is answered from the kept row, or is refused.
func (t *tail) ask(m *wire.Ask, now time.Time) {
	a := &ask{Ask: m}
	if m.Deadline > 0 {
		a.until = now.Add(time.Duration(min(m.Deadline, maxDeadline)) * time.Microsecond)
	}
	t.lastAsk, t.used = now, now
	t.take(a, now)
}

func (t *tail) take(a *ask, now time.Time) {
	m, pos := a.Ask, a.pos()
	computed := t.started && m.Branch == t.branch && pos < t.queue.Base()
	pending := slices.ContainsFunc(t.asks, func(a *ask) bool { return a.Branch == m.Branch && a.pos() == pos })
	switch {
	case t.closed:
	case t.started && m.Branch < t.branch:
		t.reply(refusal(m, wire.CodeStale, "the branch was left"))
	case pos >= t.limit:
		t.reply(refusal(m, wire.CodeContextFull, "the position lies beyond the granted context"))
	case computed && pos == t.kept && a.gen != nil:
		a.ready = now
		if !t.generated(a, t.keptRow, now) {
			t.asks = append(t.asks, a)
		}
	case computed && pos == t.kept:
		t.reply(answer(a, t.keptRow, 0))
	case t.missing && m.Branch == t.branch:
		t.sendFrom(m.Branch, t.queue.End())
	case computed && !pending && t.resends:
		t.sendFrom(m.Branch, pos)
	case computed && !pending:
		t.reply(refusal(m, wire.CodeStale, "the row was computed and is no longer kept"))
	case len(t.asks) >= maxAsks:
		t.reply(refusal(m, wire.CodeBusy, "too many asks wait"))
	default:
		if !a.taken {
			if refused := t.sched.refuse(t, a, now); refused != nil {
				t.reply(refused)
				return
			}
		}
		a.taken = true
		t.asks = append(t.asks, a)
		t.markReady(now)
	}
}

// markReady notes from when on asks wait for the stage and not for rows.
func (t *tail) markReady(now time.Time) {
	for _, a := range t.asks {
		if a.ready.IsZero() && t.due(a) {
			a.ready = now
		}
	}
}

// due reports whether all rows of an ask are there.
func (t *tail) due(a *ask) bool {
	return t.started && a.Branch == t.branch && a.pos() < t.queue.End()
}

// wants returns how many rows the stage should compute now: up to the highest
// asked position, or everything when too much is queued.
func (t *tail) wants() int {
	if t.full() {
		return t.queue.Len()
	}
	end := t.queue.Base()
	for _, a := range t.asks {
		if t.due(a) {
			end = max(end, a.pos()+1)
		}
	}
	return end - t.queue.Base()
}

// full reports whether the uplink has to wait.
func (t *tail) full() bool { return t.queue.Len() >= t.queued || t.pressed() }

// asked reports whether the row at pos of branch is wanted.
func (t *tail) asked(pos int) bool {
	return slices.ContainsFunc(t.asks, func(a *ask) bool { return t.due(a) && a.pos() == pos })
}

// charge adds a forward pass of n rows to every ask it served.
func (t *tail) charge(branch uint32, n int, took time.Duration) {
	for _, a := range t.asks {
		if a.Branch == branch && !a.ready.IsZero() {
			a.compute += took
			a.rows += n
		}
	}
}

// deliver answers the asks for pos and keeps its row for a repeated one.
func (t *tail) deliver(branch uint32, pos int, row logits, now time.Time) (answered int) {
	if t.closed || branch != t.branch {
		return 0
	}
	t.asks = slices.DeleteFunc(t.asks, func(a *ask) bool {
		if a.Branch != branch || a.pos() != pos {
			return false
		}
		answered++
		if a.gen != nil {
			return t.generated(a, row, now)
		}
		t.reply(answer(a, row, now.Sub(a.ready)-a.compute))
		return true
	})
	t.kept, t.keptRow = pos, logits{append(t.keptRow.row[:0], row.row...), row.sum}
	return answered
}
