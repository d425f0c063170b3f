package partition

import (
	"sync"
	"sync/atomic"
)

// The budget is shared out: half for hidden states, of which half again is
// every sequence's own, a quarter for what goes out, a quarter for what a
// session takes merely by being open. Asks that wait may take an eighth beside,
// those of one device half of that.
//
// memory counts against it.
type memory struct {
	budget      int64
	pressure    chan struct{} // holds one token when there may be too much
	perSequence int64         // bytes of hidden states that a sequence may hold in any case

	queues, outputs, fixed, kv, asks atomic.Int64

	mu   sync.Mutex // guards all following
	held map[*session]int64
}

func newMemory(conf Config) *memory {
	sequences := 0
	for _, b := range conf.Bundles {
		sequences += b.Stage.Sequences()
		if b.Whole != nil {
			sequences += b.Whole.Sequences()
		}
	}
	return &memory{
		budget: conf.Budget, pressure: make(chan struct{}, 1), perSequence: conf.Budget / 4 / int64(sequences), held: map[*session]int64{},
	}
}

// maxOutbox is what one session may have undelivered.
func (m *memory) maxOutbox() int { return int(min(m.budget/8, maxUnread)) }

// reserve takes n bytes for an open session, false when there are none left.
func (m *memory) reserve(n int64) bool {
	if m.fixed.Add(n) > m.budget/4 {
		m.fixed.Add(-n)
		return false
	}
	return true
}

// join counts what s has undelivered from now on, and leave no longer.
func (m *memory) join(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[s] = 0
}

func (m *memory) leave(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.held[s]
	delete(m.held, s)
	m.outputs.Add(-n)
	s.account.outputs.Add(-n)
}

// output brings the count of what s has undelivered up to date. When all
// sessions together have too much it returns the one with the most, which has
// to end.
func (m *memory) output(s *session) (worst *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, member := m.held[s]
	if !member {
		return nil
	}
	d := int64(s.out.Held()) - before
	m.held[s] += d
	s.account.outputs.Add(d)
	if m.outputs.Add(d) <= m.budget/4 || d <= 0 {
		return nil
	}
	for o, n := range m.held {
		if worst == nil || n > m.held[worst] {
			worst = o
		}
	}
	return worst
}

func (m *memory) stats() Memory {
	return Memory{
		Budget: m.budget, Queues: m.queues.Load(), Outputs: m.outputs.Load(), Fixed: m.fixed.Load(), KV: m.kv.Load(), Asks: m.asks.Load(),
	}
}

// maxDeviceAsks is how many asks of one device may wait: predicting what an ask
// costs takes a look at each.
const maxDeviceAsks = 1024

// holdAsks counts n bytes of so many asks of a, which may be negative.
func (m *memory) holdAsks(a *account, n int64, asks int) {
	m.asks.Add(n)
	a.askBytes.Add(n)
	a.waiting.Add(int64(asks))
}

// asksFull reports whether there is no room for an ask of n bytes. The only one
// of a device has it, and the only one of all.
func (m *memory) asksFull(a *account, n int64) bool {
	own, all := a.askBytes.Load(), m.asks.Load()
	return a.waiting.Load() >= maxDeviceAsks || own > 0 && own+n > m.budget/16 || all > 0 && all+n > m.budget/8
}

// accountQueue brings the count of t's hidden states up to date; the scheduler's mu is
// held.
func (t *tail) accountQueue() {
	d := int64(t.queue.Bytes()) - t.queueBytes
	t.queueBytes += d
	t.mem.queues.Add(d)
	t.device.account.queued.Add(d)
}

// overShare reports whether t holds more hidden states than there is room for. An
// empty queue never does: nothing it could compute would make room.
func (t *tail) overShare() bool {
	if t.queue.Len() == 0 {
		return false
	}
	a := t.device.account
	return t.queueBytes > t.mem.perSequence && t.mem.queues.Load() >= t.mem.budget/2 ||
		a.queued.Load() >= a.quota.Queued
}
