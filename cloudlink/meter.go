package cloudlink

import (
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/wire"
)

// packetOverhead is what IP version 6 and UDP add to a packet, in bytes: an
// operator bills them too, and version 4 costs less.
const packetOverhead = 48

// Shares of a budget from which on encodings get cheaper, in percent.
const (
	cheapAt   = 50 // float16
	cheaperAt = 80 // 8-bit blocks
)

const monthFormat = "2006-01"

// meter counts the bytes of a month over all connections.
type meter struct {
	clock  func() time.Time
	budget Budget

	mu       sync.Mutex // guards all following
	month    string
	up, down uint64
	of       *Client // whose counters were taken last
	seen     Stats
	saved    [2]uint64
	err      error // of the store
}

func newMeter(conf LinkConfig) *meter {
	m := &meter{clock: conf.Clock, budget: conf.Budget}
	m.month = m.clock().UTC().Format(monthFormat)
	if m.budget.Store == nil {
		return m
	}
	month, up, down, err := m.budget.Store.LoadBytes()
	if err != nil {
		conf.Log.Warn("bytes of the month unknown", "err", err)
	}
	if err == nil && month >= m.month { // a clock set back starts no new month
		m.month, m.up, m.down = month, up, down
	}
	return m
}

// count adds what c has sent and received since it was counted last, and writes
// the sum down.
func (m *meter) count(c *Client) {
	st := c.Stats()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of != c {
		m.of, m.seen = c, Stats{}
	}
	m.turn()
	m.up += st.BytesSent - m.seen.BytesSent + packetOverhead*(st.PacketsSent-m.seen.PacketsSent)
	m.down += st.BytesReceived - m.seen.BytesReceived + packetOverhead*(st.PacketsReceived-m.seen.PacketsReceived)
	m.seen = st
	if now := [2]uint64{m.up, m.down}; m.budget.Store != nil && now != m.saved {
		m.saved, m.err = now, m.budget.Store.SaveBytes(m.month, m.up, m.down)
	}
}

// close counts c for the last time.
func (m *meter) close(c *Client) { m.count(c) }

// turn starts a new month when it is time; mu is held.
func (m *meter) turn() {
	if now := m.clock().UTC().Format(monthFormat); now > m.month {
		m.month, m.up, m.down = now, 0, 0
	}
}

func (m *meter) bytes() (up, down uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	return m.up, m.down
}

// share returns how much of the budget is spent, in percent.
func (m *meter) share() uint64 {
	up, down := m.bytes()
	if !m.budget.Metered || m.budget.Bytes == 0 {
		return 0
	}
	return uint64(float64(up+down) / float64(m.budget.Bytes) * 100)
}

// spent returns an error wrapping ErrBudget once nothing is left.
func (m *meter) spent() error {
	if m.share() < 100 {
		return nil
	}
	return fmt.Errorf("%w: the %d MB of %s are spent: this board is alone until %s, or give it more",
		ErrBudget, m.budget.Bytes/1e6, m.status().Month, m.ends().Format(time.DateOnly))
}

// ends returns when the month that is counted ends.
func (m *meter) ends() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := time.Parse(monthFormat, m.month)
	if err != nil {
		at = m.clock().UTC()
	}
	return time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// untilNextMonth bounds a pause until the budget is renewed: clocks are set
// while boards wait.
func (m *meter) untilNextMonth() time.Duration {
	return min(max(m.ends().Sub(m.clock()), time.Second), time.Hour)
}

func (m *meter) status() BudgetStatus {
	up, down := m.bytes()
	ends := m.ends()
	m.mu.Lock()
	defer m.mu.Unlock()
	return BudgetStatus{
		Metered: m.budget.Metered, Bytes: m.budget.Bytes, Spent: up + down, Month: m.month, Ends: ends,
	}
}

// encodings returns what a new session should offer, best first.
func (m *meter) encodings() []wire.DType {
	switch share := m.share(); {
	case share >= cheaperAt:
		return []wire.DType{wire.Q8_0, wire.F16, wire.F32}
	case share >= cheapAt:
		return []wire.DType{wire.F16, wire.F32}
	}
	return []wire.DType{wire.F32}
}

// exact returns an error wrapping ErrBudget when float32 costs too much.
func (m *meter) exact() error {
	share := m.share()
	if share < cheapAt {
		return nil
	}
	return fmt.Errorf("%w: %d %% of the month's %d MB are spent and an exact session sends float32: "+
		"choose a mode that is not exact, or wait until %s",
		ErrBudget, share, m.budget.Bytes/1e6, m.ends().Format(time.DateOnly))
}
