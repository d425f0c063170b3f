package cloudlink

import (
	"context"
	"sync"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/session"
	"skerry/cloudlink/wire"
)

// judge holds what a link knows of its own worth. It is fed by what happens on the
// connection and by the link's sessions, to which it stands for the link.
type judge struct {
	monitor *monitor.Monitor
	demand  func() // notes that the cloud is wanted
	changed notify.Broadcast

	mu      sync.Mutex    // guards all following
	total   uint64        // bytes that receipts of all sessions have confirmed
	newest  time.Duration // of those receipts, by the cloud's clock
	refusal Refusal       // of the newest ask
	wanted  wire.Hash     // bundle that the cloud is to have, zero for none
	down    time.Time     // since when the link is, zero while it is not
}

func newJudge(demand func()) *judge {
	j := &judge{demand: demand}
	j.monitor = monitor.New(monitor.Config{Changed: j.changed.Announce})
	return j
}

// run feeds the monitor until ctx ends.
func (j *judge) run(ctx context.Context, l *Link) {
	j.monitor.Run(ctx, monitor.Feed{
		Store: l.conf.Minutes,
		Failed: func(err error) {
			l.log.Warn("the link's minutes are not kept", "err", err)
		},
		Sample: func() (monitor.Sample, bool) {
			c := l.Client()
			if c == nil {
				return monitor.Sample{}, false
			}
			st := c.Stats()
			return monitor.Sample{
				SmoothedRTT: st.SmoothedRTT, RTTDeviation: st.RTTDeviation, MinRTT: st.MinRTT,
				PacketsSent: st.PacketsSent, PacketsLost: st.PacketsLost, Received: st.PacketsReceived, Window: st.Window,
			}, true
		},
	})
}

// connected says that there is a connection, a new one perhaps.
func (j *judge) connected() {
	j.mu.Lock()
	j.newest = 0 // receipts of a new connection may be by another clock
	j.down = time.Time{}
	j.refusal = Refusal{} // what was refused before may be granted now
	j.mu.Unlock()
	j.monitor.Up()
	j.changed.Announce()
}

// lost says that the connection is lost. A link that is down already has been so
// since before.
func (j *judge) lost(why string) {
	j.mu.Lock()
	if j.down.IsZero() {
		j.down = time.Now()
	}
	j.mu.Unlock()
	j.monitor.Down(why)
	j.changed.Announce()
}

// Receipt takes in a receipt of one session that confirms so many more bytes of it;
// st are the session's counters by then. Goodput is of all sessions together, since
// they share the link.
func (j *judge) Receipt(more uint64, st session.Stats, busy bool) {
	j.mu.Lock()
	j.total += more
	late := st.CloudTime < j.newest
	j.newest = max(j.newest, st.CloudTime)
	r := monitor.Receipt{Bytes: j.total, Time: j.newest, Busy: busy, Queue: st.CloudQueue}
	j.mu.Unlock()
	if !late {
		j.monitor.Receipt(r)
	}
}

// Asked notes whether the cloud refused an ask, and how. Errors that are not the
// cloud's word change nothing.
func (j *judge) Asked(err error) {
	r := refusalOf(err, "", time.Now())
	if err != nil && r.None() {
		return
	}
	j.mu.Lock()
	same := r.None() && j.refusal.None()
	j.refusal = r
	j.mu.Unlock()
	if !same {
		j.changed.Announce()
	}
}

// State, DownSince, SmoothedRTT, Predict, Answer and Demand are for the sessions.
func (j *judge) State() (monitor.State, string) { return j.monitor.State() }

func (j *judge) DownSince() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.down
}

func (j *judge) SmoothedRTT() time.Duration { return j.monitor.Estimates().SmoothedRTT }

func (j *judge) Predict(a monitor.Ask) (cost, spread time.Duration, known bool) {
	return j.monitor.Predict(a)
}

func (j *judge) Answered(a monitor.AskCost) { j.monitor.Answered(a) }

func (j *judge) Demand() { j.demand() }

// State returns the state of the link with its hysteresis, and the figures it rests
// on, as "rtt 420 ms, loss 6 %".
func (l *Link) State() (monitor.State, string) { return l.judge.State() }

// Estimates returns the link in figures.
func (l *Link) Estimates() monitor.Estimates { return l.judge.monitor.Estimates() }

// DownSince returns since when the link is down, and the zero time while it is up or
// has never been.
func (l *Link) DownSince() time.Time { return l.judge.DownSince() }

// Changed returns a channel that is closed at the next change of the connection, of
// the link's state, or of what the cloud refuses, and when a dial has failed. To miss
// no change, take it before you look.
func (l *Link) Changed() <-chan struct{} { return l.judge.changed.Next() }

// Await waits until the cloud has taken the connection. It returns why the cloud has
// not, once dialling again can not help or ctx has ended; where no dial has failed by
// then, that is the error of ctx. After Close it returns ErrClosed.
func (l *Link) Await(ctx context.Context) error {
	for {
		changed := l.Changed()
		switch st := l.Status(); {
		case st.Connected:
			return nil
		case st.Refused:
			return st.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if err := l.Status().Err; err != nil {
				return err
			}
			return ctx.Err()
		case <-l.ctx.Done():
			return linkerr.ErrClosed
		}
	}
}
