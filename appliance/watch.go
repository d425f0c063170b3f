package main

import (
	"context"
	"sync"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
)

// linkWatch has a monitor follow a link and the one session on it.
type linkWatch struct {
	*monitor.Monitor
	session *cloudlink.Session
	news    chan struct{} // holds one token when rows are going up
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex    // guards all following
	receipt  time.Duration // of the newest taken in, by the cloud's clock
	uplink   monitor.Uplink
	computed int // positions the cloud has surely computed
}

func newLinkWatch() *linkWatch {
	return &linkWatch{Monitor: monitor.New(monitor.Config{}), news: make(chan struct{}, 1)}
}

// follow watches the link until stop; the store keeps the minutes, nil for
// nobody.
func (w *linkWatch) follow(l *cloudlink.Link, s *cloudlink.Session, store monitor.Store) {
	w.session = s
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.wg.Go(func() {
		w.Run(ctx, monitor.Feed{Store: store, Sample: func() (monitor.Sample, bool) { return sample(l.Client()) }})
	})
	w.wg.Go(func() { w.followReceipts(ctx) })
}

func (w *linkWatch) stop() {
	w.cancel()
	w.wg.Wait()
}

// event tells the monitor what only the link knows.
func (w *linkWatch) event(e cloudlink.Event) {
	switch e.Kind {
	case cloudlink.EventConnected, cloudlink.EventTransport:
		w.Up()
	case cloudlink.EventLost:
		w.Down(e.Why)
	case cloudlink.EventAnswered:
		w.Probed(e.RTT)
	}
}

// sample is what a connection counts, false while there is none.
func sample(c *cloudlink.Client) (monitor.Sample, bool) {
	if c == nil {
		return monitor.Sample{}, false
	}
	st := c.Stats()
	return monitor.Sample{
		SmoothedRTT: st.SmoothedRTT, RTTDeviation: st.RTTDeviation, MinRTT: st.MinRTT,
		PacketsSent: st.PacketsSent, PacketsLost: st.PacketsLost, Received: st.PacketsReceived, Window: st.Window,
	}, true
}

// receiptLook is how often receipts are looked for while rows go up.
const receiptLook = 20 * time.Millisecond

// followReceipts takes in receipts while rows go up.
func (w *linkWatch) followReceipts(ctx context.Context) {
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
func (w *linkWatch) takeReceipt() (rows int) {
	s, rtt := w.session.Stats(), w.Estimates().SmoothedRTT
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.CloudTime != w.receipt {
		w.receipt = s.CloudTime
		busy := w.uplink.Confirmed(s.Confirmed, time.Now(), rtt)
		w.Receipt(monitor.Receipt{Bytes: s.CloudBytes, Time: s.CloudTime, Busy: busy, Queue: s.CloudQueue})
	}
	rows, _ = w.uplink.Waiting(time.Now())
	return rows
}

// appended says that the rows up to end are to go up.
func (w *linkWatch) appended(end int) {
	w.mu.Lock()
	w.uplink.Appended(end, time.Now())
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// predict is the cost of an ask for pos, asked now.
func (w *linkWatch) predict(pos int) (cost, spread time.Duration, known bool) {
	w.takeReceipt()
	w.mu.Lock()
	rows, since := w.uplink.Waiting(time.Now())
	ask := monitor.Ask{Bytes: rows * w.session.Stats().RowBytes, Since: since, Rows: pos + 1 - w.computed}
	w.mu.Unlock()
	return w.Monitor.Predict(ask)
}

// answered takes in what an ask for pos has cost; predicted is 0 where nothing
// was.
func (w *linkWatch) answered(pos int, a cloudlink.Answer, took, predicted time.Duration) {
	w.Answer(monitor.Answer{Queue: a.Queue, Compute: a.Compute, Rows: a.Rows, Took: took, Predicted: predicted})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.computed = max(w.computed, pos+1)
}

// truncated forgets what the cloud computed from pos on.
func (w *linkWatch) truncated(pos int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.computed = min(w.computed, pos)
	w.uplink.Truncate(pos)
}
