package budget

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// counters stand for a connection.
type counters transport.Stats

func (c *counters) Stats() transport.Stats { return transport.Stats(*c) }

// kept is a store in memory.
type kept struct {
	month    string
	up, down uint64
}

func (k *kept) LoadBytes() (string, uint64, uint64, error) { return k.month, k.up, k.down, nil }

func (k *kept) SaveBytes(month string, up, down uint64) error {
	k.month, k.up, k.down = month, up, down
	return nil
}

// TestMeter counts two connections with their headers, over a restart, until the month is
// spent and the next one begins.
func TestMeter(t *testing.T) {
	now := time.Date(2026, 5, 31, 23, 0, 0, 0, time.UTC)
	clock, log := func() time.Time { return now }, slog.New(slog.DiscardHandler)
	store := &kept{}
	bound := Budget{Metered: true, Bytes: 10_000, Store: store}
	m := NewMeter(bound, clock, log)

	first := &counters{BytesSent: 1000, PacketsSent: 10, BytesReceived: 200, PacketsReceived: 5}
	m.Count(first)
	m.Count(first) // nothing came in between
	if up, down := m.Bytes(); up != 1000+10*packetOverhead || down != 200+5*packetOverhead {
		t.Errorf("%d up, %d down", up, down)
	}
	if got := m.Encodings(); got[0] != wire.F32 || m.Exact() != nil || m.Spent() != nil {
		t.Errorf("of a fresh month: %v, %v, %v", got, m.Exact(), m.Spent())
	}

	m.Count(&counters{BytesSent: 4000})
	if got := m.Encodings(); got[0] == wire.F32 || !errors.Is(m.Exact(), linkerr.ErrBudget) || m.Spent() != nil {
		t.Errorf("past half: %v, %v, %v", got, m.Exact(), m.Spent())
	}

	m = NewMeter(bound, clock, log)
	m.Count(&counters{BytesReceived: 5000})
	if st := m.Status(); !errors.Is(m.Spent(), linkerr.ErrBudget) || st.Spent < bound.Bytes || st.Month != "2026-05" {
		t.Errorf("after a restart: %v, %+v", m.Spent(), st)
	}
	if wait := m.UntilNextMonth(); wait != time.Hour {
		t.Errorf("an hour before the next month: %v", wait)
	}

	now = now.Add(2 * time.Hour)
	if up, down := m.Bytes(); up != 0 || down != 0 || m.Spent() != nil {
		t.Errorf("a new month: %d up, %d down, %v", up, down, m.Spent())
	}
	now = now.Add(-2 * time.Hour)
	if st := m.Status(); st.Month != "2026-06" {
		t.Errorf("a clock set back starts %s", st.Month)
	}
}

// What a connection has carried since it was counted is shown, and neither saved nor held
// against the budget before the next count.
func TestShownAtOnce(t *testing.T) {
	store := &kept{}
	m := NewMeter(Budget{Metered: true, Bytes: 10_000, Store: store}, time.Now, slog.New(slog.DiscardHandler))
	if up, down := m.Shown(); up != 0 || down != 0 {
		t.Errorf("%d up, %d down before a connection", up, down)
	}
	c := &counters{BytesSent: 100}
	m.Count(c)
	*c = counters{BytesSent: 700, PacketsSent: 2, BytesReceived: 50, PacketsReceived: 1}
	wantUp, wantDown := uint64(700+2*packetOverhead), uint64(50+packetOverhead)
	if up, down := m.Shown(); up != wantUp || down != wantDown {
		t.Errorf("%d up, %d down, not %d and %d", up, down, wantUp, wantDown)
	}
	if up, _ := m.Bytes(); up != 100 || store.up != 100 || m.Status().Spent != 100 {
		t.Errorf("%d counted, %d saved, %+v", up, store.up, m.Status())
	}
	m.Count(c)
	if up, down := m.Shown(); up != wantUp || down != wantDown || store.up != wantUp {
		t.Errorf("%d up, %d down once it is counted; %d saved", up, down, store.up)
	}
}

// TestLateCount has somebody who still holds the connection of before count it once more,
// when another has followed: nothing is added twice.
func TestLateCount(t *testing.T) {
	m := NewMeter(Budget{Metered: true, Bytes: 10_000, Store: &kept{}}, time.Now, slog.New(slog.DiscardHandler))
	before, after := &counters{BytesSent: 4000}, &counters{BytesSent: 100}
	for _, c := range []*counters{before, after, before, after} {
		m.Count(c)
	}
	if up, _ := m.Bytes(); up != 4100 {
		t.Errorf("%d bytes are counted of 4100", up)
	}
}
