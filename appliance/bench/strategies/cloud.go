package strategies

import (
	"context"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink/linksim"
)

// Cloud is the cloud partition's process.
type Cloud interface {
	// Dial connects to it over an emulated link.
	Dial(ctx context.Context, l linksim.Spec) (Conn, error)
	// Spent is what its stages have computed so far.
	Spent(ctx context.Context) (Spent, error)
	// Pass times the whole model there.
	Pass(ctx context.Context) (Pass, error)
	// Likeliest is what the whole model finds likeliest after each of tokens from
	// the given one on: [len(tokens)-from]int32.
	Likeliest(ctx context.Context, tokens []int32, from int) ([]int32, error)
}

// Spent counts forward passes of the cloud.
type Spent struct {
	Seconds   float64 `json:"seconds"`
	Positions int     `json:"positions"`
}

// Conn is a connection to the cloud.
type Conn interface {
	// Open opens a session and waits for the cloud's consent.
	Open(ctx context.Context, v Variant) (Session, error)
	Sent() uint64 // UDP payload
	Close() error
}

// Session is one session of a connection.
type Session interface {
	Append(pos int, hidden []float32) error
	// Ask is decode.Cloud's, with the cloud's forward time.
	Ask(ctx context.Context, pos, topK int) (decode.Row, time.Duration, error)
	// AskRows is decode.RowsAsker's, with the cloud's forward time.
	AskRows(ctx context.Context, pos, n, topK int) ([]decode.Row, time.Duration, error)
	Truncate(pos int) error
	decode.Resender
	decode.Generator
	decode.Leader
	Close() error
}

// metered is a session that counts how long the edge waited beyond what the cloud
// computed. Of an ask that was dropped nothing is waiting.
type metered struct {
	Session
	clock *clock

	mu   sync.Mutex // guards comm
	comm time.Duration
}

func (m *metered) Ask(ctx context.Context, pos, topK int) (row decode.Row, err error) {
	err = m.ask(func() (compute time.Duration, err error) {
		row, compute, err = m.Session.Ask(ctx, pos, topK)
		return compute, err
	})
	return row, err
}

// AskRows implements decode.RowsAsker.
func (m *metered) AskRows(ctx context.Context, pos, n, topK int) (rows []decode.Row, err error) {
	err = m.ask(func() (compute time.Duration, err error) {
		rows, compute, err = m.Session.AskRows(ctx, pos, n, topK)
		return compute, err
	})
	return rows, err
}

func (m *metered) ask(f func() (compute time.Duration, err error)) error {
	start, busy := time.Now(), m.clock.read()
	compute, err := f()
	if err == nil {
		idle := time.Since(start) - (m.clock.read() - busy)
		m.mu.Lock()
		m.comm += max(0, idle-compute)
		m.mu.Unlock()
	}
	return err
}
