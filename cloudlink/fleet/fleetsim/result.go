package fleetsim

import (
	"cmp"
	"slices"
	"time"

	"skerry/cloudlink/fleet/place"
)

// Result is what came of a simulation. Times are virtual but for Took.
type Result struct {
	Settings Settings `json:"settings"`
	Before   Phase    `json:"before"`
	After    Phase    `json:"after"`

	Killed   int    `json:"killed"`    // workers
	Lost     int    `json:"lost"`      // boards whose link died
	LostBusy int    `json:"lost_busy"` // of them in mid-answer
	Gone     int    `json:"gone"`      // boards without a link at the end
	Moved    int    `json:"moved"`     // boards to another worker
	Dials    int    `json:"dials"`
	CaughtUp int    `json:"caught_up"` // rows of contexts made anew
	Back     Spread `json:"back"`      // from a link's death to the next link
	Served   Spread `json:"served"`    // from a link's death to the next token of the cloud, of boards in mid-answer

	Claims      int            `json:"claims"`
	ClaimWait   Spread         `json:"claim_wait"`
	ClaimsLate  int            `json:"claims_late"`    // that were done when nobody waited any more
	ClaimsNone  int            `json:"claims_refused"` // by the store, which had too many
	WorstShake  time.Duration  `json:"worst_handshake_ns"`
	Chosen      map[string]int `json:"chosen"` // workers dialled after the first was silent, by why
	RecordsSent float64        `json:"records_per_second"`

	Limits  []Limit  `json:"limits"` // what comes nearest to its limit first
	Seconds []Second `json:"seconds"`

	Events int           `json:"events"`
	Took   time.Duration `json:"took_ns"`
	Memory uint64        `json:"memory"` // bytes
}

// Phase is how the fleet did before what happened, or after.
type Phase struct {
	Asks     Spread  `json:"asks"` // from an ask to its answer
	Answers  int     `json:"answers"`
	Refused  int     `json:"refused"`       // asks that were told to come later
	Rows     float64 `json:"rows_per_s"`    // positions computed
	Busy     float64 `json:"busy"`          // share of time that workers compute
	Busiest  float64 `json:"busiest"`       // of the busiest worker
	MostOver float64 `json:"boards_over"`   // boards of a worker over those that its weight stands for, the most
	Contexts float64 `json:"contexts_full"` // workers without a free context at the end, as a share
}

// Spread is how times are spread.
type Spread struct {
	N    int           `json:"n"`
	P50  time.Duration `json:"p50_ns"`
	P95  time.Duration `json:"p95_ns"`
	P99  time.Duration `json:"p99_ns"`
	Most time.Duration `json:"most_ns"`
}

func (s *spread) summary() Spread { return Spread{s.n, s.at(0.5), s.at(0.95), s.at(0.99), s.most} }

// Limit is one thing that there is only so much of.
type Limit struct {
	What string  `json:"what"`
	Peak float64 `json:"peak"` // what was wanted in the worst second
	Can  float64 `json:"can"`
}

// Share is how much of it was wanted.
func (l Limit) Share() float64 { return l.Peak / l.Can }

// Second is one of the virtual seconds.
type Second struct {
	At         int           `json:"at_s"`
	Gone       int           `json:"gone"` // boards without a link
	Claims     int           `json:"claims"`
	Handshakes int           `json:"handshakes"`
	Wanted     int           `json:"wanted"`    // positions that asks wait for, of those that came
	Busy       float64       `json:"busy"`      // share of time that live workers compute
	Wait       time.Duration `json:"wait_ns"`   // of a newcomer's ask at the worker where it is longest
	InUse      float64       `json:"in_use"`    // contexts, as a share
	Full       int           `json:"full"`      // workers without a free context
	StoreWait  time.Duration `json:"claims_ns"` // of a claim made now
}

// sample ends a second.
func (p *play) sample() {
	s := Second{At: int(p.now / time.Second), Gone: p.gone, Handshakes: p.shakes, StoreWait: max(p.store.free-p.now, 0)}
	s.Claims = p.store.second()
	s.Wanted = p.wanted
	p.shakesWorst, p.shakes, p.wanted = max(p.shakesWorst, p.shakes), 0, 0
	busy, used := time.Duration(0), 0
	for _, w := range p.workers {
		busy += w.busy
		if w.dead {
			continue
		}
		used += w.inUse
		s.Wait = max(s.Wait, w.wait(nil, 1, p.now))
		if w.inUse >= p.Contexts {
			s.Full++
		}
	}
	s.Busy = (busy - p.busyWas).Seconds() / float64(p.alive)
	s.InUse = float64(used) / float64(p.alive*p.Contexts)
	p.busyWas = busy
	p.seconds = append(p.seconds, s)
}

// endPhase sums up what the workers did since the last.
func (p *play) endPhase(length time.Duration) {
	f, n, weight, boards := p.phase, 0, 0.0, 0
	for _, w := range p.workers {
		if w.dead {
			continue
		}
		n++
		share := w.busy.Seconds() / length.Seconds()
		f.mean += share
		f.most = max(f.most, share)
		f.rows += float64(w.rows) / length.Seconds()
		weight += w.worth()
		boards += w.boards
		if w.inUse >= p.Contexts {
			f.full++
		}
	}
	f.mean /= float64(n)
	f.full /= float64(n)
	for _, w := range p.workers {
		if !w.dead {
			f.boards = max(f.boards, float64(w.boards)/(float64(boards)*w.worth()/weight))
		}
		w.busy, w.rows = 0, 0
	}
	p.busyWas = 0
}

func (f *phase) summary() Phase {
	return Phase{f.asks.summary(), f.answers, f.refused, f.rows, f.mean, f.most, f.boards, f.full}
}

func (p *play) result(took time.Duration, memory uint64) *Result {
	r := &Result{
		Settings: p.Settings, Before: p.phases[0].summary(), After: p.phases[1].summary(),
		Killed: p.Workers - p.alive, Lost: p.lostBoards, LostBusy: p.lostBusy, Gone: p.gone, Moved: p.moved, Dials: p.dials,
		CaughtUp: p.caughtUp, Back: p.back.summary(), Served: p.served.summary(),
		Claims: p.store.claims, ClaimWait: p.store.wait.summary(), ClaimsLate: p.store.late, ClaimsNone: p.store.refused,
		WorstShake: p.worstShake, Chosen: map[string]int{}, RecordsSent: float64(p.store.written) / (settled + p.For).Seconds(),
		Seconds: p.seconds, Events: p.events, Took: took, Memory: memory,
	}
	for reason, n := range p.chosen {
		if n > 0 {
			r.Chosen[place.Reason(reason).String()] = n
		}
	}
	wanted, used, wait, can := 0, 0.0, time.Duration(0), 0.0
	for _, s := range p.seconds {
		wanted, used, wait = max(wanted, s.Wanted), max(used, s.InUse), max(wait, s.Wait)
	}
	for _, w := range p.workers {
		if !w.dead {
			can += w.rate()
		}
	}
	r.Limits = []Limit{
		{"claims a second, of the store", float64(p.store.worst), p.Claims},
		{"tellings a second of workers' records, of the store", float64(p.store.toldWorst), p.Watched},
		{"handshakes a second, of all workers' cores", float64(p.shakesWorst), float64(p.alive*p.Cores) / max(p.Handshake.Seconds(), 1e-9)},
		{"positions a second, of all workers in full passes", float64(wanted), can},
		{"contexts, of all workers", used, 1},
		{"seconds that an ask waits, at the worst worker", wait.Seconds(), maxWait.Seconds()},
	}
	slices.SortStableFunc(r.Limits, func(a, b Limit) int { return cmp.Compare(b.Share(), a.Share()) })
	return r
}
