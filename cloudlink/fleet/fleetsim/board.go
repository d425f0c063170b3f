package fleetsim

import (
	"math"
	"time"

	"skerry/cloudlink/internal/backoff"
)

// state is how a board stands to its worker.
type state uint8

const (
	up    state = iota // connected, or so it believes
	away               // it has noticed that it is not, and dials or pauses
	comes              // its dial is with a worker
)

// board is one device. There may be a million, so it is small.
type board struct {
	session *session         // at its worker, nil outside of an answer
	back    *backoff.Backoff // nil while connected
	not     []string         // workers that were silent in this dial
	lost    time.Duration    // when its link died, -1 for not
	asked   time.Duration    // when it sent the ask that waits
	dialled time.Duration
	claimAt time.Duration
	claim   int32 // the worker that wrote the last claim, from claimAt on
	owner   int32 // the worker that has claimed it
	rows    int32 // positions of the answer's context
	held    int32 // of them that the owner has or is computing
	later   int32 // ms after which a worker said to come again that could not claim it
	left    int16 // tokens of the answer, 0 while idle
	gen     uint16
	state   state
	cut     bool // it has no network
	gone    bool // its link is dead, whether it has noticed or not
	hurt    bool // its link died in mid-answer
	waits   bool // it waits for the cloud
	pauses  bool // between two dials
}

// after puts an event of a board in, which is void once the board begins anew.
func (p *play) after(d time.Duration, k kind, b, w int32) {
	p.calendar.add(event{at: p.now + d, kind: k, of: b, with: w, gen: p.boards[b].gen})
}

// rest has a board want its next answer after a while.
func (p *play) rest(b int32) {
	mean := float64(time.Hour) / p.Answers
	p.after(time.Duration(p.random.ExpFloat64()*mean), begins, b, -1)
}

// begin is a board that wants an answer.
func (p *play) begin(i int32) {
	b := &p.boards[i]
	if b.left > 0 { // it waits for the last one still
		p.rest(i)
		return
	}
	b.left, b.rows, b.held = int16(p.Tokens), int32(p.Prompt), 0
	b.waits, b.asked = true, p.now
	switch b.state {
	case up:
		p.ask(i, 0)
	case away: // the pause ends at once, but for dials that are too close
		if b.pauses && !b.cut {
			b.gen++
			p.after(max(b.dialled+backoff.Demand-p.now, 0), dials, i, -1)
		}
	}
}

// ask sends the rows that the worker has not, and the ask, after a time.
func (p *play) ask(i int32, in time.Duration) {
	b := &p.boards[i]
	if !b.waits {
		b.waits, b.asked = true, p.now+in
	}
	p.after(in+p.RTT/2, asks, i, b.owner)
}

// received is an ask that is with the worker.
func (p *play) received(i int32, w *worker) {
	b := &p.boards[i]
	if b.state != up || b.owner != w.at {
		return
	}
	if w.dead || b.cut { // no answer will come
		if !b.gone {
			p.lose(b)
		}
		p.after(p.jitter(noticeBusy), noticed, i, -1)
		return
	}
	own := max(int(b.rows-b.held), 1)
	refused := time.Duration(0)
	if b.session == nil {
		if wait := w.wait(nil, 1, p.now); w.inUse >= p.Contexts {
			refused = max(wait, time.Second)
			p.noRoom++
		} else if wait > maxWait {
			refused = wait - maxWait
		}
	}
	if wait := w.wait(b.session, own, p.now); refused == 0 && wait > maxWait {
		refused = wait - maxWait
	}
	if refused > 0 {
		p.phase.refused++
		p.after(min(max(refused, 20*time.Millisecond), time.Minute)+p.RTT, asks, i, w.at)
		return
	}
	if b.session == nil {
		b.session = &session{board: i}
		w.inUse++
	}
	p.wanted += own
	b.session.owed += own
	b.held = b.rows
	w.waiting = append(w.waiting, b.session)
	p.compute(w)
}

// heard is an answer that is with the board: it says tokens by itself until it asks again.
func (p *play) heard(i int32) {
	b := &p.boards[i]
	if b.cut {
		return
	}
	b.waits = false
	p.phase.asks.add(p.now - b.asked)
	if b.lost >= 0 && !p.workers[b.owner].dead {
		p.found(b)
		if b.hurt {
			p.served.add(p.now - b.lost)
		}
		b.lost, b.hurt = -1, false
	}
	k := 1
	if p.Asks < 1 {
		k += int(math.Log(1-p.random.Float64()) / math.Log(1-p.Asks))
	}
	if k >= int(b.left) {
		b.left = 0
		p.workers[b.owner].leave(b.session)
		b.session = nil
		p.phase.answers++
		p.rest(i)
		return
	}
	b.left -= int16(k)
	b.rows += int32(k)
	p.ask(i, time.Duration(k)*p.Edge)
}

// notice is a board that has noticed that its link is dead.
func (p *play) notice(i int32) {
	b := &p.boards[i]
	b.gen++
	if b.session != nil {
		if w := p.workers[b.owner]; !w.dead {
			w.leave(b.session)
		}
		b.session = nil
	}
	b.state, b.not = away, nil
	b.waits = b.left > 0
	b.back = &backoff.Backoff{Random: p.random.Float64, Most: backoff.Last}
	p.dial(i)
}

// dial is a board that dials the worker it had, or the one that is next in its order.
func (p *play) dial(i int32) {
	b := &p.boards[i]
	if b.state != away {
		return
	}
	b.dialled, b.pauses = p.now, false
	b.gen++
	if b.cut {
		if !b.waits { // a dial that nobody wants ends
			p.after(dialTry, refused, i, -1)
		}
		return // else its first packets are sent again until there is a network
	}
	to := b.owner
	if len(b.not) > 0 {
		c := p.fleet.Choose(keyOf(i), bundle, b.not...)
		p.chosen[c.Reason]++
		if c.Worker == "" {
			p.failed(i)
			return
		}
		to = p.byName[c.Worker]
	}
	p.dials++
	p.after(p.RTT/2, arrives, i, to)
}

// failed is a dial that has failed: the board pauses.
func (p *play) failed(i int32) {
	b := &p.boards[i]
	b.state, b.not, b.pauses = away, nil, true
	later := time.Duration(b.later) * time.Millisecond
	pause := max(b.back.Failed(false), later)
	if b.waits {
		pause = min(pause, max(b.dialled+min(later, mostLater)+backoff.Demand-p.now, 0))
	}
	b.later = 0
	p.after(pause, dials, i, -1)
}

// arrive is a board's first packet with a worker.
func (p *play) arrive(i int32, w *worker) {
	b := &p.boards[i]
	if w.dead {
		b.not = append(b.not, w.name)
		p.after(dialTry, dials, i, -1)
		return
	}
	b.state = comes
	p.shakes++
	done := w.handshake(p.now, p.Handshake)
	p.worstShake = max(p.worstShake, done-p.now)
	p.after(done-p.now+p.RTT, letIn, i, w.at)
}

// let is a board whose handshake is over: the worker claims it.
func (p *play) let(i int32, w *worker) {
	b := &p.boards[i]
	if w.dead {
		b.state = away
		p.after(dialTry, dials, i, -1)
		return
	}
	// The worker reads the claim, and writes one where it is not its own already. A claim that
	// was late is its own when the board comes again.
	change := b.owner != w.at && !(b.claim == w.at && p.now >= b.claimAt)
	done, ok := p.store.call(p.now, change)
	if change && done > 0 {
		b.claim, b.claimAt = w.at, done
	}
	if at := time.Unix(0, 0).Add(p.now); ok {
		w.later.Made(at)
		p.after(done-p.now+p.RTT/2, connected, i, w.at)
	} else {
		b.later = int32(w.later.Failed(at, p.random.Float64()).Milliseconds())
		p.after(callTime+p.RTT/2, refused, i, -1)
	}
}

// connect is a board that a worker has said hello to.
func (p *play) connect(i int32, w *worker) {
	b := &p.boards[i]
	if w.dead {
		b.state = away
		p.after(dialTry, dials, i, -1)
		return
	}
	if b.owner != w.at {
		p.workers[b.owner].boards--
		w.boards++
		b.owner = w.at
		p.moved++
	}
	b.state, b.back, b.not = up, nil, nil
	p.found(b)
	if b.left == 0 {
		b.lost = -1
		return
	}
	p.caughtUp += int(b.rows)
	b.held = 0 // the context is made anew
	p.ask(i, 0)
}

// lose is a board whose link dies.
func (p *play) lose(b *board) {
	b.gone, b.lost = true, p.now
	p.gone++
	p.lostBoards++
}

// found is a board that has a link again.
func (p *play) found(b *board) {
	if b.gone {
		b.gone = false
		p.gone--
		p.back.add(p.now - b.lost)
	}
}

// jitter is a time give or take a tenth.
func (p *play) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*p.random.Float64()))
}
