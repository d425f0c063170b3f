package doctor

import (
	"context"
	"sync"
	"time"
)

// countedEpochs numbers the connections of a test, which the board's own
// numbers outgrow by themselves.
type countedEpochs struct {
	mu   sync.Mutex // guards last
	last uint64
}

func (e *countedEpochs) NextEpoch() (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	return e.last, nil
}

func (e *countedEpochs) JumpEpoch(past uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = max(e.last, past)
	return nil
}

func (e *countedEpochs) ResetEpoch(past uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = past
	return nil
}

// heldTickets are session tickets that end with the process.
type heldTickets struct {
	got chan struct{} // holds one token once there is a ticket

	mu  sync.Mutex // guards all
	all [][]byte
}

func newHeldTickets() *heldTickets { return &heldTickets{got: make(chan struct{}, 1)} }

func (h *heldTickets) PutTicket(_ string, ticket []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, ticket)
	select {
	case h.got <- struct{}{}:
	default:
	}
	return nil
}

func (h *heldTickets) TakeTicket(string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		return nil, nil
	}
	t := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return t, nil
}

// await waits until a ticket has come.
func (h *heldTickets) await(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-h.got:
		return true
	case <-ctx.Done():
		return false
	}
}
