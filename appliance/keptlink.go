package main

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// keptLink is a connection to a cloud that is kept up and judged by a monitor, for
// any number of sessions.
type keptLink struct {
	*cloudlink.Link
	monitor *monitor.Monitor
	began   time.Time
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex                    // guards all following
	said     map[string]uint64             // tokens by source
	received map[*cloudlink.Session]uint64 // bytes, by the newest receipt of each session
	total    uint64                        // of all sessions, those that are closed too
	newest   time.Duration                 // receipt, by the cloud's clock
	refusal  string                        // of the newest ask, in the cloud's word
	down     time.Time                     // since when the link is, zero while it is not
}

// keepLink starts dialling. The database keeps the minutes of the link, nil for
// nobody; observe may be nil.
func keepLink(conf cloudlink.LinkConfig, db *storage.DB, observe func(cloudlink.Event)) *keptLink {
	k := &keptLink{monitor: monitor.New(monitor.Config{}), began: time.Now(),
		said: map[string]uint64{}, received: map[*cloudlink.Session]uint64{}}
	conf.Observe = func(e cloudlink.Event) {
		k.event(e)
		if observe != nil {
			observe(e)
		}
	}
	k.Link = cloudlink.NewLink(conf)
	var ctx context.Context
	ctx, k.stop = context.WithCancel(context.Background())
	k.wg.Go(func() {
		k.monitor.Run(ctx, monitor.Feed{Store: linkStore(db), Sample: func() (monitor.Sample, bool) { return sample(k.Client()) }})
	})
	return k
}

// close ends the connection; its sessions must be closed before.
func (k *keptLink) close() {
	k.Link.Close()
	k.stop()
	k.wg.Wait()
}

// event tells the monitor what only the link knows.
func (k *keptLink) event(e cloudlink.Event) {
	switch e.Kind {
	case cloudlink.EventConnected, cloudlink.EventTransport:
		k.setDown(time.Time{})
		k.monitor.Up()
	case cloudlink.EventLost:
		k.setDown(time.Now())
		k.monitor.Down(e.Why)
	case cloudlink.EventAnswered:
		k.monitor.Probed(e.RTT)
	}
}

// setDown notes that the link is down, or with the zero time that it is not. One that
// is down already has been so since before.
func (k *keptLink) setDown(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.IsZero() {
		k.newest = 0 // receipts of a new connection may be by another clock
	}
	if now.IsZero() || k.down.IsZero() {
		k.down = now
	}
}

// DownSince is since when the link is down, zero while it is not.
func (k *keptLink) DownSince() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.down
}

// State of the link and the figures it rests on.
func (k *keptLink) State() (monitor.State, string) { return k.monitor.State() }

// receipt takes in the newest receipt of one session. Goodput is of all sessions
// together, since they share the link.
func (k *keptLink) receipt(s *cloudlink.Session, st cloudlink.SessionStats, busy bool) {
	k.mu.Lock()
	if was := k.received[s]; st.CloudBytes > was {
		k.total += st.CloudBytes - was
	}
	k.received[s] = st.CloudBytes
	late := st.CloudTime < k.newest
	k.newest = max(k.newest, st.CloudTime)
	r := monitor.Receipt{Bytes: k.total, Time: k.newest, Busy: busy, Queue: st.CloudQueue}
	k.mu.Unlock()
	if !late {
		k.monitor.Receipt(r)
	}
}

// forget drops what is kept of a session that is closed.
func (k *keptLink) forget(s *cloudlink.Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.received, s)
}

// asked notes whether the cloud refused an ask, and how.
func (k *keptLink) asked(err error) {
	word := ""
	if r := new(cloudlink.RemoteError); errors.As(err, &r) {
		word = r.Code.String()
	} else if err != nil {
		return // the link's, not the cloud's
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refusal = word
}

// count notes who said a token, for the status.
func (k *keptLink) count(s decode.Source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said[string(s)]++
}

// tell has the cloud told of this board every five minutes.
func (k *keptLink) tell(bundle wire.Hash, report func() (mode, health string)) {
	k.SetStatus(func() wire.Status {
		mode, health := report()
		k.mu.Lock()
		defer k.mu.Unlock()
		return wire.Status{
			Version: version, Mode: mode, Health: health, Uptime: uint64(time.Since(k.began).Seconds()),
			Bundle: bundle, Tokens: maps.Clone(k.said),
		}
	})
}

// await waits until the cloud has taken the session, and returns why it has not
// when ctx ends or waiting can not help.
func (k *keptLink) await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := k.Status()
		if st.Connected {
			return nil
		}
		if st.Refused {
			return errors.New(st.LastError)
		}
		select {
		case <-ctx.Done():
			if st.LastError != "" {
				return errors.New(st.LastError)
			}
			return ctx.Err()
		case <-tick.C:
		}
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

// linkMinutes keeps the monitor's minutes in the board's database.
type linkMinutes struct{ db *storage.DB }

func linkStore(db *storage.DB) monitor.Store {
	if db == nil {
		return nil
	}
	return linkMinutes{db}
}

func (s linkMinutes) AppendLink(minutes []monitor.Minute) error {
	samples := make([]storage.LinkSample, len(minutes))
	for i, m := range minutes {
		samples[i] = storage.LinkSample{
			At: m.Start, State: m.Worst.String(), Reason: m.Reason, RTT: m.RTT, Loss: m.Loss, Goodput: m.Goodput,
		}
	}
	return s.db.AppendLink(samples)
}
