package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// maxTokenID bounds token ids.
const maxTokenID = wire.MaxTokenID

// maxGenerate bounds the tokens of one Generate, and what may wait for yield.
const maxGenerate = 1 << 16

// errID is the error of ids that no vocabulary has.
var errID = errors.New("token id out of range")

// AppendTokens is Append for a session opened with Tokens: ids stand at the
// positions [pos, pos+n).
func (s *Session) AppendTokens(pos int, ids []int32) error {
	rows, err := tokenRows(ids)
	if err != nil {
		return fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	return s.Append(pos, rows)
}

// Generate appends the prompt's ids to the session, which was opened with
// Tokens, and lets the cloud go on alone from there: it takes the token with
// the largest logit, ties by lower id, until one of Options.Ends (not
// with ignoreEnd), max tokens, or until yield returns false. Each token is
// yielded as it comes, an end token too, with its probability and its margin
// over the second logit, and is part of the session. With no ids it goes on
// from the last row of the session.
//
// It returns ErrContextFull at the end of the context, ErrLost, ErrTruncated,
// a refusal as *RemoteError, or the context's error; the cloud then stops
// within one token. What was yielded stays in the session.
func (s *Session) Generate(ctx context.Context, ids []int32, max int, ignoreEnd bool, yield func(id int32, confidence, margin float64) bool) error {
	err := s.generateTo(ctx, ids, max, ignoreEnd, yield)
	s.judgeRefusal(err)
	return err
}

func (s *Session) generateTo(ctx context.Context, ids []int32, max int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	p, serial, err := s.generate(ids, max, ignoreEnd)
	if err != nil || p == nil {
		return err
	}
	for {
		select {
		case r := <-p.result:
			switch {
			case r.err != nil:
				return r.err
			case !yield(r.token.ID, r.token.Confidence, r.token.Margin):
				s.halt(serial, int(r.token.Position)+2)
				return nil
			case r.token.Stop == wire.StopContext:
				return fmt.Errorf("session %s: %w", s.opt.ID, linkerr.ErrContextFull)
			case r.token.Stop != wire.StopNot:
				return nil
			}
		case <-ctx.Done():
			s.halt(serial, -1)
			return fmt.Errorf("session %s: generate: %w", s.opt.ID, ctx.Err())
		}
	}
}

// generate appends the prompt and puts the request, nil when nothing is wanted.
func (s *Session) generate(ids []int32, n int, ignoreEnd bool) (*pending, uint32, error) {
	if !s.opt.Tokens {
		return nil, 0, fmt.Errorf("session %s: generate: it was not opened for token ids", s.opt.ID)
	}
	rows, err := tokenRows(ids)
	if err != nil {
		return nil, 0, fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.mu.Lock()
	err = s.append(s.rows.end(), rows)
	pos, limit := s.rows.end()-1, s.limit
	s.mu.Unlock()
	if err != nil || n <= 0 {
		return nil, 0, err
	}
	if n = min(n, maxGenerate); limit > 0 {
		n = min(n, limit)
	}
	m := &wire.Generate{Max: uint32(n)}
	if !ignoreEnd {
		m.Ends = s.opt.Ends
	}
	p := &pending{pos: pos, rows: 1, generate: m, result: make(chan askResult, n+1)}
	serial, err := s.expect(p)
	return p, serial, err
}

// generated takes one token of a generation; mu is held. The cloud has its row
// already.
func (s *Session) generated(serial uint32, p *pending, r askResult) {
	if r.token == nil {
		s.settle(serial)
		p.result <- r
		return
	}
	row := []float32{float32(r.token.ID)}
	if s.rows.end() != p.pos+1 { // Append went beyond the generation
		s.settle(serial)
		p.result <- askResult{err: fmt.Errorf("session %s: positions were appended beyond a generation, to %d", s.opt.ID, s.rows.end())}
		return
	}
	s.rows.append(p.pos+1, row, false)
	if s.next == p.pos+1 && r.token.Stop == wire.StopNot {
		s.next++ // the cloud appended it itself
	}
	s.wake.Broadcast()
	p.pos++
	p.generate.Max--
	s.stats.BytesDown += 8
	s.stats.Waited += time.Duration(r.token.Queue) * time.Microsecond
	s.stats.Computed += time.Duration(r.token.Compute) * time.Microsecond
	if r.token.Stop != wire.StopNot || p.generate.Max == 0 {
		s.settle(serial)
		s.stats.Answers++
	}
	p.result <- r
}

// halt ends a generation on both sides: what the cloud has made beyond end, or
// beyond what has come when that is negative, is taken back.
func (s *Session) halt(serial uint32, end int) {
	s.mu.Lock()
	_, running := s.waiting[serial]
	s.settle(serial)
	if end < 0 {
		end = s.rows.end()
	}
	running = running || s.rows.end() > end
	s.mu.Unlock()
	if running {
		s.Truncate(end) // an error means that the session has ended
	}
}

// tokenRows makes rows of one float32 of ids.
func tokenRows(ids []int32) ([]float32, error) {
	rows := make([]float32, len(ids))
	for i, id := range ids {
		if id < 0 || id >= maxTokenID {
			return nil, fmt.Errorf("%w: %d", errID, id)
		}
		rows[i] = float32(id)
	}
	return rows, nil
}

func tokenIDs(rows []float32) []int32 {
	ids := make([]int32, len(rows))
	for i, f := range rows {
		ids[i] = int32(f)
	}
	return ids
}
