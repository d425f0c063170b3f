package partition

import (
	"context"
	"sync"
	"time"
)

// Quotas gives out a device's quota of positions where a cloud has several workers.
type Quotas interface {
	// Draw takes up to so many positions from the quota of a device, of so many a minute, and
	// says when to ask again where it takes none. An error says that the others cannot be
	// asked now.
	Draw(ctx context.Context, device string, perMinute int, positions float64) (got float64, again time.Duration, err error)
	// Return gives back what was not computed; fewer than none were computed beyond.
	Return(ctx context.Context, device string, perMinute int, positions float64) error
}

const (
	// drawn is which part of a minute's positions is drawn at once, and drawAt at which part of
	// that more are.
	drawn, drawAt = 8, 4
	// drawLook is how long a draw is waited for before the work there is is planned again.
	drawLook = 50 * time.Millisecond
)

// share is what this worker has drawn of a device's quota. While the other workers cannot be asked
// it gives what the device's own bucket here does.
type share struct {
	quotas    Quotas
	device    string
	perMinute int
	clock     func() time.Time
	wake      func()          // has the work there is be planned again
	wg        *sync.WaitGroup // of draws

	mu      sync.Mutex // guards all following
	credit  float64    // positions drawn and not computed yet; below 0 for more computed
	drawing bool
	gone    bool      // the device: what is left is to be given back
	next    time.Time // before which there is nothing to draw
}

func (s *share) block() float64 { return max(float64(s.perMinute)/drawn, 1) }

func (s *share) spend(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit -= float64(n)
}

// allowedAt is when more may be computed, and whether that is known: not while a draw is under way.
func (s *share) allowedAt(now time.Time) (at time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credit < s.block()/drawAt && !s.drawing && !now.Before(s.next) {
		s.drawing = true
		positions := s.block() - s.credit
		s.wg.Go(func() { s.draw(positions) })
	}
	switch {
	case s.credit >= 1:
		return now, true
	case s.drawing:
		return now.Add(drawLook), false
	}
	return s.next, true
}

func (s *share) draw(positions float64) {
	got, again, err := s.quotas.Draw(context.Background(), s.device, s.perMinute, positions)
	s.mu.Lock()
	if err != nil {
		got = positions
	}
	s.credit += got
	s.next = s.clock().Add(again)
	s.drawing = false
	left := s.leave()
	s.mu.Unlock()
	if left != 0 {
		s.giveBack(left)
	}
	s.wake()
}

// here says that the device is connected, and away that it is not any more.
func (s *share) here() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = false
}

func (s *share) away() {
	s.mu.Lock()
	s.gone = true
	left := s.leave()
	s.mu.Unlock()
	if left != 0 {
		s.wg.Go(func() { s.giveBack(left) })
	}
}

// leave is what is to be given back; mu is held.
func (s *share) leave() float64 {
	if !s.gone || s.drawing {
		return 0
	}
	left := s.credit
	s.credit, s.next = 0, time.Time{}
	return left
}

// giveBack returns positions. Where nobody can be asked they are lost, or what is owed stays here.
func (s *share) giveBack(positions float64) {
	if err := s.quotas.Return(context.Background(), s.device, s.perMinute, positions); err != nil && positions < 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.credit += positions
	}
}
