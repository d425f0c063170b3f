package session

import (
	"context"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// AskRows is Ask for several rows at once: it returns the topK largest logits of each of the
// n rows up to pos, or with topK 0 the whole rows, by rising position. The cloud computes
// those that it has not in the same passes. Queue, Compute and Rows of each are those of
// all. More than one message has room for is asked for one part after another.
//
// Its errors are those of Ask, and ErrOneRow where the cloud answers one row at a time.
func (s *Session) AskRows(ctx context.Context, pos, n, topK int) ([]Answer, error) {
	topK = max(topK, 0)
	if n < 1 || n > pos+1 {
		return nil, fmt.Errorf("session %s: ask for %d rows up to position %d", s.opt.ID, n, pos)
	}
	predicted, _, _ := s.Predict(pos)
	start := time.Now()
	out, err := s.askRows(ctx, pos, n, topK)
	var cost Answer
	if err == nil {
		cost = out[0]
	}
	s.judgeAnswer(cost, err, time.Since(start), predicted)
	return out, err
}

func (s *Session) askRows(ctx context.Context, pos, n, topK int) (out []Answer, err error) {
	most := s.rowsAtOnce(topK)
	var total Answer
	for first := pos + 1 - n; first <= pos; {
		part := min(most, pos+1-first)
		rows, err := s.ask(ctx, &pending{pos: first + part - 1, topK: topK, rows: part})
		if err != nil {
			return nil, err
		}
		total.Queue += rows[0].Queue
		total.Compute += rows[0].Compute
		total.Rows += rows[0].Rows
		out, first = append(out, rows...), first+part
	}
	for i := range out {
		out[i].Queue, out[i].Compute, out[i].Rows = total.Queue, total.Compute, total.Rows
	}
	return out, nil
}

// SeveralRows reports whether the cloud answers AskRows for more than one row. As long as
// it has not consented to the session it is taken to.
func (s *Session) SeveralRows() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.severalRows()
}

// severalRows is SeveralRows; mu is held.
func (s *Session) severalRows() bool {
	if s.at == nil {
		return true
	}
	select {
	case <-s.at.opened:
		return s.protocol >= wire.ProtocolRows
	default:
		return true
	}
}

// oneRow is the error of an ask for several rows that the cloud does not know of; mu is
// held.
func (s *Session) oneRow() error {
	return fmt.Errorf("session %s: %w: it speaks protocol %d, update it", s.opt.ID, linkerr.ErrOneRow, s.protocol)
}

// endRows ends the asks for several rows that were put before a cloud that does not know
// of them had said what it speaks; mu is held.
func (s *Session) endRows() {
	for serial, p := range s.waiting {
		if p.rows > 1 {
			s.settle(serial)
			p.result <- askResult{err: s.oneRow()}
		}
	}
}

// bodyBytes bounds what a row of an answer takes, of topK candidates or with 0 whole.
func (s *Session) bodyBytes(topK int) int {
	if topK == 0 {
		return 4 * s.vocabulary()
	}
	return 8 * min(topK, s.vocabulary())
}

// rowsAtOnce is how many rows one ask may be for.
func (s *Session) rowsAtOnce(topK int) int {
	return max(min(wire.MaxAskRows, wire.MaxRowsBody/s.bodyBytes(topK)), 1)
}

// answerBytes bounds the body of an answer of this session: a whole row, as many
// candidates, or the most of several rows that it has asked for.
func (s *Session) answerBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(8*s.vocabulary(), s.largest), wire.MaxBody)
}
