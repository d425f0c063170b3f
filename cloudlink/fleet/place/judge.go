package place

import (
	"math"
	"time"
)

// A worker is hot when a newcomer's ask would wait for half of what it may, or when a
// sixteenth of its room is left, and no longer so at half of the one and twice the other:
// what takes a session from it does not make it take the next at once.
const (
	hotWait, coolWait = 0.5, 0.25
	hotRoom, coolRoom = 1. / 16, 1. / 8
)

const (
	// perDoubling is how many classes of weight there are to a doubling, so that two workers
	// in one class differ by less than a fifth.
	perDoubling = 4
	// slack is how far beyond its class, in classes, what a worker measured must be before
	// it is put into another.
	slack = 1.0
	// unit is the weight of a worker that can take one session.
	unit = 16
	// mostClass is the class of the largest weight, 2^24.
	mostClass = 20 * perDoubling
)

// rootWeights are unit times the powers of the fourth root of two, below two.
var rootWeights = [perDoubling]uint64{1 << 16, 77936, 92682, 110218} // of 2^16

// Measured is what a worker measured of itself for one bundle.
type Measured struct {
	Contexts   int           // there are in all
	Free       int           // of them; those kept for boards that are away count as free
	Budget     int64         // bytes that it may hold for boards, 0 where that is not bounded
	Held       int64         // of them
	PerSession int64         // bytes that one more session takes
	Pass       time.Duration // T, a pass of one row; 0 before anything was computed
	Further    time.Duration // that a further row of a pass takes: m times T
	Wait       time.Duration // that a newcomer's ask would wait for others
	MaxWait    time.Duration // beyond which asks are refused
}

// rowsWanted is how many positions a second a session in use is taken to want: about what
// somebody reads. It decides only where room by time and room by memory meet.
const rowsWanted = 10.0

// room is how many more sessions the worker could take, by memory and by time.
func (m Measured) room() float64 {
	room := float64(m.byMemory())
	if m.Pass > 0 {
		// The scheduler puts as many rows into a pass as double what it costs anyway.
		row := max(m.Further, m.Pass/1000, 1).Seconds()
		fixed := max(m.Pass.Seconds()-row, 0)
		rows := max(fixed/row, 1)
		rate := rows / (fixed + rows*row)
		busy := 0.0
		if m.MaxWait > 0 {
			busy = min(m.Wait.Seconds()/m.MaxWait.Seconds(), 1)
		}
		room = min(room, rate*(1-busy)/rowsWanted)
	}
	return room
}

// byMemory is how many more sessions there is memory for.
func (m Measured) byMemory() int {
	free := max(min(m.Free, m.Contexts), 0)
	if m.Budget > 0 && m.PerSession > 0 {
		free = min(free, int(max(m.Budget-m.Held, 0)/m.PerSession))
	}
	return free
}

// share is which part of its memory for sessions a worker has free, 0 to 1.
func (m Measured) share() float64 {
	share := float64(m.byMemory()) / float64(max(m.Contexts, 1))
	if m.Budget > 0 {
		share = min(share, float64(max(m.Budget-m.Held, 0))/float64(m.Budget))
	}
	return share
}

// Judge makes of what a worker measures again and again what it says to the others. Small
// changes do not show, so that sessions keep their order. It is of one bundle; the zero Judge
// is ready.
type Judge struct {
	judged bool
	class  int
	hot    bool
}

// Stage is how the worker stands with a bundle now.
func (j *Judge) Stage(bundle string, m Measured) Stage {
	exact := perDoubling * math.Log2(max(m.room(), 1./unit))
	if !j.judged || math.Abs(exact-float64(j.class)) > slack {
		j.class = int(math.Round(exact))
	}
	wait := 0.0
	if m.MaxWait > 0 {
		wait = m.Wait.Seconds() / m.MaxWait.Seconds()
	}
	switch share := m.share(); {
	case wait >= hotWait || share <= hotRoom:
		j.hot = true
	case wait <= coolWait && share >= coolRoom:
		j.hot = false
	}
	j.judged = true
	return Stage{Bundle: bundle, Weight: weightOf(j.class), Hot: j.hot, Full: m.byMemory() < 1, Wait: m.Wait}
}

// weightOf is the weight of a class: unit for class 0, twice that each perDoubling.
func weightOf(class int) uint32 {
	class = min(max(class, -4*perDoubling), mostClass) + 4*perDoubling // from 2^-4 of a session
	return uint32(rootWeights[class%perDoubling] * unit << (class / perDoubling) >> (16 + 4))
}
