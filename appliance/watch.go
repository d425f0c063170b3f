package main

import (
	"context"
	"sync"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
)

// sessionWatch knows how far the rows of one session have come, for the monitor of
// its link.
type sessionWatch struct {
	link    *keptLink
	session *cloudlink.Session
	news    chan struct{} // holds one token when rows are going up
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex    // guards all following
	receipt  time.Duration // of the newest taken in, by the cloud's clock
	uplink   monitor.Uplink
	computed int // positions the cloud has surely computed
}

// watchSession watches until stop.
func watchSession(l *keptLink, s *cloudlink.Session) *sessionWatch {
	w := &sessionWatch{link: l, session: s, news: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.wg.Go(func() { w.followReceipts(ctx) })
	return w
}

func (w *sessionWatch) stop() {
	w.cancel()
	w.wg.Wait()
}

// receiptLook is how often receipts are looked for while rows go up.
const receiptLook = 20 * time.Millisecond

// followReceipts takes in receipts while rows go up.
func (w *sessionWatch) followReceipts(ctx context.Context) {
	ticker := time.NewTicker(receiptLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.news:
		}
		for w.takeReceipt() > 0 {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}
}

// takeReceipt takes in the newest receipt and returns how many rows still have
// none.
func (w *sessionWatch) takeReceipt() (rows int) {
	s, rtt := w.session.Stats(), w.link.monitor.Estimates().SmoothedRTT
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.CloudTime != w.receipt {
		w.receipt = s.CloudTime
		busy := w.uplink.Confirmed(s.Confirmed, time.Now(), rtt)
		w.link.receipt(w.session, s, busy)
	}
	rows, _ = w.uplink.Waiting(time.Now())
	return rows
}

// appended says that the rows up to end are to go up.
func (w *sessionWatch) appended(end int) {
	w.mu.Lock()
	w.uplink.Appended(end, time.Now())
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// predict is the cost of an ask for pos, asked now.
func (w *sessionWatch) predict(pos int) (cost, spread time.Duration, known bool) {
	w.takeReceipt()
	w.mu.Lock()
	rows, since := w.uplink.Waiting(time.Now())
	ask := monitor.Ask{Bytes: rows * w.session.Stats().RowBytes, Since: since, Rows: pos + 1 - w.computed}
	w.mu.Unlock()
	return w.link.monitor.Predict(ask)
}

// answered takes in what an ask for pos has cost; predicted is 0 where nothing
// was.
func (w *sessionWatch) answered(pos int, a cloudlink.Answer, took, predicted time.Duration) {
	w.link.monitor.Answer(monitor.Answer{Queue: a.Queue, Compute: a.Compute, Rows: a.Rows, Took: took, Predicted: predicted})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.computed = max(w.computed, pos+1)
}

// truncated forgets what the cloud computed from pos on.
func (w *sessionWatch) truncated(pos int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.computed = min(w.computed, pos)
	w.uplink.Truncate(pos)
}
