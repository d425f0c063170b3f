package budget

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// packetOverhead is what IP version 6 and UDP add to a packet, in bytes: an
// operator bills them too, and version 4 costs less.
const packetOverhead = 48

// Shares of a budget from which on encodings get cheaper, in percent.
const (
	cheapAt   = 50 // those with half of float32's bytes, or more
	cheaperAt = 80 // all
)

const monthFormat = "2006-01"

// counted is a connection with counters.
type counted interface{ Stats() transport.Stats }

// Meter counts the bytes of a month over all connections.
type Meter struct {
	clock  func() time.Time
	budget Budget

	mu       sync.Mutex // guards all following
	month    string
	up, down uint64
	of       counted // whose counters were taken last
	before   counted // the one before it, which was counted to its end
	seen     transport.Stats
	saved    [2]uint64
	err      error // of the store
}

// NewMeter goes on with the count that the store has of this month, if any.
func NewMeter(budget Budget, clock func() time.Time, log *slog.Logger) *Meter {
	m := &Meter{clock: clock, budget: budget}
	m.month = m.clock().UTC().Format(monthFormat)
	if m.budget.Store == nil {
		return m
	}
	month, up, down, err := m.budget.Store.LoadBytes()
	if err != nil {
		log.Warn("bytes of the month unknown", "err", err)
	}
	if err == nil && month >= m.month { // a clock set back starts no new month
		m.month, m.up, m.down = month, up, down
	}
	return m
}

// Count adds what c has sent and received since it was counted last, and writes
// the sum down.
func (m *Meter) Count(c counted) {
	st := c.Stats()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch c {
	case m.of:
	case m.before: // somebody who still holds it comes late: all of it was counted
		return
	default:
		m.before, m.of, m.seen = m.of, c, transport.Stats{}
	}
	m.turn()
	m.up += sentSince(st, m.seen)
	m.down += receivedSince(st, m.seen)
	m.seen = st
	if now := [2]uint64{m.up, m.down}; m.budget.Store != nil && now != m.saved {
		m.saved, m.err = now, m.budget.Store.SaveBytes(m.month, m.up, m.down)
	}
}

func sentSince(now, seen transport.Stats) uint64 {
	return now.BytesSent - seen.BytesSent + packetOverhead*(now.PacketsSent-seen.PacketsSent)
}

func receivedSince(now, seen transport.Stats) uint64 {
	return now.BytesReceived - seen.BytesReceived + packetOverhead*(now.PacketsReceived-seen.PacketsReceived)
}

// turn starts a new month when it is time; mu is held.
func (m *Meter) turn() {
	if now := m.clock().UTC().Format(monthFormat); now > m.month {
		m.month, m.up, m.down = now, 0, 0
	}
}

// Shown is Bytes with what the connection that was counted last has sent and received since
// then: an answer's bytes are seen at once, and written down at the next count.
func (m *Meter) Shown() (up, down uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	up, down = m.up, m.down
	if m.of != nil {
		st := m.of.Stats()
		up, down = up+sentSince(st, m.seen), down+receivedSince(st, m.seen)
	}
	return up, down
}

// Bytes returns what was sent and received this month.
func (m *Meter) Bytes() (up, down uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	return m.up, m.down
}

// share returns how much of the budget is spent, in percent.
func (m *Meter) share() uint64 {
	up, down := m.Bytes()
	if !m.budget.Metered || m.budget.Bytes == 0 {
		return 0
	}
	return uint64(float64(up+down) / float64(m.budget.Bytes) * 100)
}

// Spent returns an error wrapping ErrBudget once nothing is left.
func (m *Meter) Spent() error {
	if m.share() < 100 {
		return nil
	}
	return fmt.Errorf("%w: the %d MB of %s are spent: this board is alone until %s, or give it more",
		linkerr.ErrBudget, m.budget.Bytes/1e6, m.Status().Month, m.ends().Format(time.DateOnly))
}

// ends returns when the month that is counted ends.
func (m *Meter) ends() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := time.Parse(monthFormat, m.month)
	if err != nil {
		at = m.clock().UTC()
	}
	return time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// UntilNextMonth bounds a pause until the budget is renewed: clocks are set
// while boards wait.
func (m *Meter) UntilNextMonth() time.Duration {
	return min(max(m.ends().Sub(m.clock()), time.Second), time.Hour)
}

// Status returns how the month stands.
func (m *Meter) Status() Status {
	up, down := m.Bytes()
	ends := m.ends()
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{
		Metered: m.budget.Metered, Bytes: m.budget.Bytes, Spent: up + down, Month: m.month, Ends: ends,
	}
}

// Encodings returns what a new session should offer, best first.
func (m *Meter) Encodings() []wire.DType {
	least := 4.0 // bytes per value
	switch share := m.share(); {
	case share >= cheaperAt:
		least = 0
	case share >= cheapAt:
		least = 2
	}
	var offered []wire.DType
	for _, e := range slices.Backward(wire.Encodings()) {
		if e.BytesPerValue() >= least {
			offered = append(offered, e.DType)
		}
	}
	return offered
}

// Exact returns an error wrapping ErrBudget when float32 costs too much.
func (m *Meter) Exact() error {
	share := m.share()
	if share < cheapAt {
		return nil
	}
	return fmt.Errorf("%w: %d %% of the month's %d MB are spent and an exact session sends float32: "+
		"choose a mode that is not exact, or wait until %s",
		linkerr.ErrBudget, share, m.budget.Bytes/1e6, m.ends().Format(time.DateOnly))
}
