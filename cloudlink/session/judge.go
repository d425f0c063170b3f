package session

import (
	"time"

	"skerry/cloudlink/monitor"
)

// Judge is the link that a session belongs to: it judges itself by what becomes of its
// sessions. Its methods must not block, nor call the session.
type Judge interface {
	State() (monitor.State, string)
	DownSince() time.Time
	SmoothedRTT() time.Duration
	Predict(monitor.Ask) (cost, spread time.Duration, known bool)
	// Receipt takes in a receipt that confirms so many more bytes; st are the counters
	// of the session by then, and busy says that rows were waiting all the while.
	Receipt(more uint64, st Stats, busy bool)
	Answered(monitor.AskCost)
	Asked(err error) // what became of an ask, nil for an answer
	Demand()         // the cloud is wanted
}

// State returns the state of the session's link and the figures it rests on. A
// session that was opened on a Client and not on a Link has no judge: its link counts
// as good.
func (s *Session) State() (monitor.State, string) {
	if s.judge == nil {
		return monitor.Good, "not judged"
	}
	return s.judge.State()
}

// DownSince returns since when the session's link is down, the zero time while it is
// not.
func (s *Session) DownSince() time.Time {
	if s.judge == nil {
		return time.Time{}
	}
	return s.judge.DownSince()
}

// Predict returns what an ask for pos is expected to cost if asked now, and by how
// much more nine of ten such asks stay under. It is not known while the link is down,
// before the first answer, and for a session without a Link.
func (s *Session) Predict(pos int) (cost, spread time.Duration, known bool) {
	if s.judge == nil {
		return 0, 0, false
	}
	s.mu.Lock()
	rows, since := s.uplink.Waiting(time.Now())
	ask := monitor.Ask{Bytes: rows * s.rowBytes(), Since: since, Rows: pos + 1 - s.computed}
	s.mu.Unlock()
	return s.judge.Predict(ask)
}

// judgeReceipt has the link judge itself by the newest receipt, which confirms so
// many more bytes; mu is held.
func (s *Session) judgeReceipt(more uint64) {
	if s.judge == nil {
		return
	}
	busy := s.uplink.Confirmed(s.lineage.confirmed, time.Now(), s.judge.SmoothedRTT())
	s.judge.Receipt(more, s.stats, busy)
}

// judgeAnswer has the link judge itself by what came of an ask that took so long
// where so much was predicted, 0 where nothing was.
func (s *Session) judgeAnswer(a Answer, err error, took, predicted time.Duration) {
	if s.judge == nil {
		return
	}
	s.judge.Asked(err)
	if err == nil {
		s.judge.Answered(monitor.AskCost{Queue: a.Queue, Compute: a.Compute, Rows: a.Rows, Took: took, Predicted: predicted})
	}
}

// judgeRefusal is judgeAnswer for a generation, whose tokens tell nothing of the cost
// of an ask.
func (s *Session) judgeRefusal(err error) {
	if s.judge != nil {
		s.judge.Asked(err)
	}
}

// markDemand tells the session's link that the cloud is wanted.
func (s *Session) markDemand() {
	if s.judge != nil {
		s.judge.Demand()
	}
}

// Reachable reports whether the cloud has consented to the session on the connection of the
// moment, and notes that it is wanted, as an ask does.
func (s *Session) Reachable() bool {
	s.markDemand()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone() != nil {
		return false
	}
	select {
	case <-s.at.opened:
		return true
	default:
		return false
	}
}

// Limit is how many positions the cloud grants, or before it has answered those that were
// wanted; 0 where neither is said.
func (s *Session) Limit() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}
