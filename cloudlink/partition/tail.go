package partition

import (
	"fmt"
	"slices"
	"time"

	"skerry/cloudlink/hidden"
	"skerry/cloudlink/partition/sched"
	"skerry/cloudlink/rank"
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
	sched.Flow
	contextState
	sched  *scheduler
	device *deviceFlow
	mem    *memory

	seq        int
	limit      int // positions granted
	queued     int // positions that may stay uncomputed
	reply      func(wire.Message)
	fail       func(*wire.Error)
	queueLarge func(*largeAnswer) bool // has a large answer made; false: too many are

	branch   uint32
	started  bool // the uplink of branch has come
	queue    *hidden.Backlog
	cut      int         // the stage forgets from here on before it computes more; -1 for nothing
	cuts     uint64      // times that positions were taken back within a branch
	text     []int32     // of a whole model: the token ids of the positions
	led      *LedContext // goes on with an answer, nil for nobody
	asks     []*ask
	kept     keptRows
	underWay []wanted // rows of the forward pass that runs, of branch, by rising position
	failed   bool     // what the stage holds of it is not known
	closed   bool

	queueBytes int64     // bytes of queue, as counted in mem
	askBytes   int64     // bytes of asks, as counted in mem
	waiting    int       // asks, as counted in mem
	lastAsk    time.Time // the newest ask
	fullAt     time.Time // since when the queue is full, zero for not
	spare      int       // rows nobody is in a hurry for, in the plan being made
	granted    int       // rows, in the plan being made
	uncharged  int       // rows computed before its handshake was confirmed
}

// ask is an Ask that waits, with what it cost so far.
type ask struct {
	*wire.Ask
	mask    rank.IDSet       // the only ids wanted, nil for all
	bytes   int64            // that it counts for while it waits
	gen     *wire.Generate   // makes it one after another, nil for a single ask
	until   time.Time        // when the board stops waiting, zero for never
	local   chan<- localRows // of a leader here, which takes what becomes of it; nil for a board's
	taken   bool             // once it has been admitted
	got     []row            // the first of its rows, as far as they were computed
	ready   time.Time        // when all its rows were there, zero before
	compute time.Duration
	rows    int
}

// Grant gives t n more rows of the plan being made.
func (t *tail) Grant(n int) { t.granted += n }

func (a *ask) pos() int { return int(a.Position) }

func (a *ask) expired(now time.Time) bool { return !a.until.IsZero() && now.After(a.until) }

func newTail(seq, limit, queued, width int) *tail {
	return &tail{seq: seq, limit: limit, queued: queued, queue: hidden.New(width), cut: -1}
}

// refusal makes an error that refuses one ask.
func refusal(a *wire.Ask, code wire.Code, text string) *wire.Error {
	return &wire.Error{Ref: a.Ref, Serial: a.Serial, Code: code, Text: text}
}

// startBranch takes the header of an uplink. It returns an error that ends the
// session, and false when the branch is older than the current one.
func (t *tail) startBranch(h *wire.UplinkHeader, now time.Time) (current bool, refused *wire.Error) {
	if t.outdated(h.Branch, h.Since) {
		t.forget()
	}
	if t.closed || t.started && h.Branch < t.branch {
		return false, nil
	}
	if t.started && h.Branch == t.branch {
		return false, &wire.Error{Ref: h.Ref, Code: wire.CodeProtocol, Text: "a second uplink for one branch"}
	}
	t.lastUsed, t.untouched = now, false
	keep := min(int(h.Keep), t.queue.End())
	if int(h.Position) > keep && !t.resends {
		return false, t.gap()
	}
	t.branch, t.started = h.Branch, true
	if t.led != nil && t.led.asked.Branch < h.Branch {
		t.led.cancel()
	}
	t.toldMissing, t.missing = false, false
	t.asks = slices.DeleteFunc(t.asks, func(a *ask) bool { return a.Branch < h.Branch })
	if keep < t.queue.Base() && (t.cut < 0 || keep < t.cut) {
		t.cut = keep
	}
	t.queue.Truncate(keep)
	t.accountQueue()
	t.text = t.text[:min(keep, len(t.text))]
	t.kept.truncate(keep)
	t.underWay = nil // of a branch that was left
	t.retakeAsks(now)
	if int(h.Position) > keep {
		t.markMissing()
	}
	t.evicted = t.missing
	return true, nil
}

// retakeAsks takes the asks that came before their branch again: the rows of
// some may have been computed on the branch before.
func (t *tail) retakeAsks(now time.Time) {
	early := t.asks
	t.asks = nil
	t.accountAsks()
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
	if t.lastUsed = now; t.missing {
		return nil
	}
	t.learn(pos, rows)
	if pos < t.queue.Base() {
		known := min((t.queue.Base()-pos)*width, len(rows))
		pos, rows = t.queue.Base(), rows[known:]
	}
	if err := t.queue.Append(pos, rows); err != nil {
		if t.resends {
			t.markMissing()
			return nil
		}
		return t.gap()
	}
	t.accountQueue()
	t.markReady(now)
	return nil
}

// ask takes an ask: it waits, is answered from kept rows, or is refused. Its mask is the
// set of m.Mask, made before.
func (t *tail) ask(m *wire.Ask, mask rank.IDSet, now time.Time) {
	a := &ask{Ask: m, mask: mask}
	if a.Wanted() > 1 && a.answerBytes(t.vocab()) > wire.MaxRowsBody {
		t.reply(refusal(m, wire.CodeProtocol, fmt.Sprintf(
			"%d rows make an answer of more than %d bytes: ask for fewer", a.Wanted(), wire.MaxRowsBody)))
		return
	}
	a.bytes = askOverhead + int64(a.mask.Bytes())
	if a.wholeRows() || a.Wanted() > 1 {
		a.bytes += a.rowBytes(t.vocab()) // of the rows it will be made of
	}
	if m.Deadline > 0 {
		a.until = now.Add(time.Duration(min(m.Deadline, maxDeadline)) * time.Microsecond)
	}
	t.lastAsk, t.lastUsed = now, now
	t.take(a, now)
}

func (t *tail) vocab() int { return t.sched.bundle.Stage.Vocab() }

func (t *tail) take(a *ask, now time.Time) {
	m, lost := a.Ask, -1
	current := t.started && m.Branch == t.branch
	if current {
		lost = t.collect(a)
	}
	complete := len(a.got) == a.Wanted()
	switch {
	case t.closed:
	case t.started && m.Branch < t.branch:
		t.refuse(a, refusal(m, wire.CodeStale, "the branch was left"))
	case a.pos() >= t.limit:
		t.refuse(a, refusal(m, wire.CodeContextFull, "the position lies beyond the granted context"))
	case complete && a.gen != nil:
		a.ready = now
		if !t.generated(a, a.got[0], now) {
			t.wait(a)
		}
	case complete:
		t.answer(a, 0)
	case t.missing && current:
		t.sendFrom(m.Branch, t.queue.End())
		a.leave()
	case lost >= 0:
		t.refuseComputed(a, lost)
	case len(t.asks) >= maxAsks:
		t.busy(a, "too many asks wait")
	default:
		if !a.taken {
			if refused := t.sched.refuseAsk(t, a, now); refused != nil {
				t.refuse(a, refused)
				return
			}
			if t.mem.asksFull(t.device.account, a.bytes) {
				t.busy(a, "the asks that wait take all the room there is for them")
				return
			}
		}
		a.taken = true
		t.wait(a)
		t.markReady(now)
	}
}

// wait adds an ask to those that wait.
func (t *tail) wait(a *ask) {
	t.asks = append(t.asks, a)
	t.askBytes, t.waiting = t.askBytes+a.bytes, t.waiting+1
	t.mem.holdAsks(t.device.account, a.bytes, 1)
}

// accountAsks brings the count of the asks that wait up to date.
func (t *tail) accountAsks() {
	var n int64
	for _, a := range t.asks {
		n += a.bytes
	}
	t.mem.holdAsks(t.device.account, n-t.askBytes, len(t.asks)-t.waiting)
	t.askBytes, t.waiting = n, len(t.asks)
}

// busy refuses an ask for want of room.
func (t *tail) busy(a *ask, text string) {
	t.device.account.busy.Add(1)
	e := refusal(a.Ask, wire.CodeBusy, text)
	e.RetryAfter = t.sched.retryAfter(t.sched.clock())
	t.refuse(a, e)
}

// refuseComputed turns an ask away for its row at pos, which was computed and is not kept.
// A board that can send it again is asked to: from there on all is computed again.
func (t *tail) refuseComputed(a *ask, pos int) {
	if t.resends {
		t.sendFrom(a.Branch, pos)
		a.leave()
		return
	}
	t.refuse(a, refusal(a.Ask, wire.CodeStale, "the row was computed and is no longer kept"))
}

// refuse tells whoever waits for the ask that it is refused.
func (t *tail) refuse(a *ask, e *wire.Error) {
	if a.local == nil {
		t.reply(e)
		return
	}
	a.local <- localRows{err: &refusedLead{e}}
}

// leave tells a leader that the board will say anew what it wants.
func (a *ask) leave() {
	if a.local != nil {
		a.local <- localRows{err: errLeft}
	}
}

// markReady notes from when on asks wait for the stage and not for rows.
func (t *tail) markReady(now time.Time) {
	for _, a := range t.asks {
		if a.ready.IsZero() && t.ready(a) {
			a.ready = now
		}
	}
}

// ready reports whether all rows of an ask are there.
func (t *tail) ready(a *ask) bool {
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
		if t.ready(a) {
			end = max(end, a.pos()+1)
		}
	}
	return end - t.queue.Base()
}

// full reports whether the uplink has to wait.
func (t *tail) full() bool { return t.queue.Len() >= t.queued || t.overShare() }

// wanted returns what is to be made of the row at pos of branch, and false when
// nobody asks for it. An ask may want it whose last rows have not come yet.
func (t *tail) wanted(pos int) (w wanted, asked bool) {
	w = wanted{pos: pos, best: 2} // a token and its margin
	for _, a := range t.asks {
		if !t.started || a.Branch != t.branch || pos < a.next() || pos > a.pos() {
			continue
		}
		asked = true
		if a.wholeRows() {
			w.all = true
		} else {
			w.best = max(w.best, int(a.TopK))
		}
	}
	return w, asked
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

// deliver gives the row at pos to the asks that want it, answers those that have all
// theirs, and keeps it for a repeated ask.
func (t *tail) deliver(branch uint32, pos int, row row, now time.Time) (answered int) {
	if t.closed || branch != t.branch {
		return 0
	}
	t.asks = slices.DeleteFunc(t.asks, func(a *ask) bool {
		if a.Branch != branch || a.next() != pos || pos > a.pos() {
			return false
		}
		if a.add(row, t.vocab()); len(a.got) < a.Wanted() {
			return false
		}
		answered++
		if a.gen != nil {
			return t.generated(a, row, now)
		}
		t.answer(a, now.Sub(a.ready)-a.compute)
		return true
	})
	t.accountAsks()
	t.kept.add(pos, row)
	return answered
}
