package fleetsim

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"time"

	"skerry/cloudlink/fleet/place"
	"skerry/cloudlink/internal/liveness"
)

// bundle is what all workers serve and all boards want.
const bundle = "bundle"

func keyOf(board int32) place.Key { return place.KeyOf("board-" + strconv.Itoa(int(board))) }

// phase is what is counted before what happens, and after.
type phase struct {
	asks             spread
	answers, refused int
	mean, most, rows float64 // of workers: how busy they were, and the busiest; rows a second
	boards, full     float64 // of a worker, the most over what its weight stands for; workers without a context
}

// play is a simulation that runs.
type play struct {
	Settings
	random   *rand.Rand
	calendar *calendar
	now      time.Duration

	boards  []board
	workers []*worker
	byName  map[string]int32
	fleet   *place.Fleet
	store   store
	alive   int // workers

	phases     [2]phase // before what happens, and after
	phase      *phase   // of now
	back       spread   // from a link's death to the next
	served     spread   // likewise to the next answer, of those in mid-answer
	gone       int      // boards without a link
	lostBoards int      // that ever were
	lostBusy   int      // of them in mid-answer
	moved      int      // boards to another worker
	dials      int
	chosen     [place.NoWorker + 1]int // by reason
	noRoom     int                     // answers refused for want of a context
	caughtUp   int                     // rows
	events     int

	shakes, shakesWorst int // in this second, and in the worst
	worstShake          time.Duration
	wanted              int           // rows of asks that came in this second
	busyWas             time.Duration // of all workers, a second ago
	seconds             []Second
}

// Run plays s until its end or that of ctx. The error wraps ErrSettings, or is of ctx.
func Run(ctx context.Context, s Settings) (*Result, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	p := newPlay(s)
	began := time.Now()
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return p.result(time.Since(began), mem.Sys), nil
}

// run plays all events.
func (p *play) run(ctx context.Context) error {
	for e, ok := p.calendar.pop(); ok; e, ok = p.calendar.pop() {
		if p.events&0xffff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		p.events++
		p.now = e.at
		p.handle(e)
	}
	p.endPhase(p.For)
	return nil
}

func newPlay(s Settings) *play {
	p := &play{
		Settings: s, random: rand.New(rand.NewPCG(s.Seed, 0)), calendar: newCalendar(settled+s.For, time.Millisecond),
		boards: make([]board, s.Boards), byName: map[string]int32{}, alive: s.Workers,
		store: store{each: time.Duration(float64(time.Second) / s.Claims), alone: s.ClaimTime},
	}
	p.phase = &p.phases[0]
	for i := range s.Workers {
		speed := math.Exp((2*p.random.Float64() - 1) * math.Log(s.Spread))
		w := &worker{name: workerName(i), at: int32(i), t: s.T.Seconds() / speed, m: s.M, cores: make([]time.Duration, s.Cores)}
		w.warm()
		p.workers = append(p.workers, w)
		p.byName[w.name] = w.at
	}
	p.tell(-1)
	p.store.written, p.store.watched, p.store.toldSecond = 0, 0, 0
	for i := range p.boards {
		at := p.byName[p.fleet.Choose(keyOf(int32(i)), bundle).Worker]
		p.boards[i] = board{owner: at, claim: -1, lost: -1, dialled: -time.Hour}
		p.workers[at].boards++
		p.rest(int32(i))
	}
	p.calendar.add(event{at: time.Second, kind: second})
	for turn := range turns {
		p.calendar.add(event{at: tellEvery * time.Duration(turn+1) / turns, kind: tells, of: int32(turn)})
	}
	p.calendar.add(event{at: settled, kind: strikes})
	return p
}

// handle does what an event says.
func (p *play) handle(e event) {
	switch e.kind {
	case begins:
		p.begin(e.of)
		return
	case passed:
		p.pass(p.workers[e.of])
		return
	case tells:
		p.tell(int(e.of))
		p.calendar.add(event{at: p.now + tellEvery, kind: tells, of: e.of})
		return
	case strikes:
		p.strike()
		return
	case expires:
		p.publish()
		return
	case restores:
		p.restore()
		return
	case second:
		p.sample()
		p.calendar.add(event{at: p.now + time.Second, kind: second})
		return
	}
	if e.gen != p.boards[e.of].gen {
		return
	}
	var w *worker
	if e.with >= 0 {
		w = p.workers[e.with]
	}
	switch e.kind {
	case asks:
		p.received(e.of, w)
	case answered:
		p.heard(e.of)
	case noticed:
		p.notice(e.of)
	case dials:
		p.dial(e.of)
	case arrives:
		p.arrive(e.of, w)
	case letIn:
		p.let(e.of, w)
	case refused:
		p.failed(e.of)
	case connected:
		p.connect(e.of, w)
	}
}

// compute begins a pass of a worker that runs none.
func (p *play) compute(w *worker) {
	if w.running > 0 || w.dead {
		return
	}
	if took := w.plan(p.now); took > 0 {
		p.calendar.add(event{at: p.now + took, kind: passed, of: w.at})
	}
}

// pass ends a worker's pass.
func (p *play) pass(w *worker) {
	if w.dead {
		return
	}
	w.finish(func(s *session) {
		if b := &p.boards[s.board]; b.session == s && !b.cut {
			p.after(p.RTT/2, answered, s.board, w.at)
		}
	})
	p.compute(w)
}

// turns is how many groups of workers tell of themselves one after the other.
const turns = 8

// tell has the workers whose turn it is, all for -1, tell of themselves where that has changed.
func (p *play) tell(turn int) {
	changed := p.fleet == nil
	for i, w := range p.workers {
		if w.dead || turn >= 0 && i%turns != turn {
			continue
		}
		s := w.judge.Stage(bundle, w.measured(p.Contexts, p.now))
		s.Wait = s.Wait.Truncate(tellWait)
		if s.Wait != w.told.Wait || s.Weight != w.told.Weight || s.Hot != w.told.Hot || s.Full != w.told.Full {
			w.told, changed = s, true
			p.store.write(p.alive)
		}
	}
	if changed {
		p.publish()
	}
}

// publish has everybody know what the workers told, and which of them have been dead for as
// long as a lease lasts.
func (p *play) publish() {
	var all []place.Worker
	for _, w := range p.workers {
		if !w.dead || p.now < settled+leaseFor {
			all = append(all, place.Worker{Name: w.name, Stages: []place.Stage{w.told}})
		}
	}
	p.fleet = place.New(all)
}

// strike kills workers and cuts boards off.
func (p *play) strike() {
	p.endPhase(settled)
	p.phase = &p.phases[1]
	for _, at := range p.random.Perm(p.Workers)[:int(p.Kill*float64(p.Workers)+0.5)] {
		p.workers[at].dead = true
		p.alive--
	}
	for i := range p.boards {
		b := &p.boards[i]
		b.cut = p.random.Float64() < p.Cut
		killed := p.workers[b.owner].dead
		if !killed && !b.cut {
			continue
		}
		busy := b.left > 0
		idle := liveness.Idle(p.random.Float64()) + time.Duration(p.random.Float64()*float64(keepAlive))
		if !killed && !busy && idle > p.CutFor {
			continue // it will not have noticed
		}
		p.lose(b)
		if b.hurt = busy; busy {
			p.lostBusy++
		}
		if busy && b.waits {
			p.after(p.jitter(noticeBusy), noticed, int32(i), -1)
		} else if !busy {
			p.after(idle, noticed, int32(i), -1)
		} // else its next ask finds out
	}
	p.calendar.add(event{at: p.now + leaseFor, kind: expires})
	if p.Cut > 0 {
		p.calendar.add(event{at: p.now + p.CutFor, kind: restores})
	}
}

// restore gives those that were cut off their network back.
func (p *play) restore() {
	for i := range p.boards {
		b := &p.boards[i]
		if !b.cut {
			continue
		}
		b.cut = false
		if b.state == away && b.waits {
			p.after(time.Duration(p.random.Float64()*float64(250*time.Millisecond)), dials, int32(i), -1)
		}
	}
}
