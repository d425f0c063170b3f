package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// linkSettings say which cloud a daemon has and how it sends.
type linkSettings struct {
	Cloud     string // host:port; "": the one the board is enrolled with, if any
	Encoding  string // f32, f16, q8
	MonthlyMB uint64 // 0: not metered
	State     string // directory
}

// daemonLink is the daemon's one connection to its cloud, up from before the model
// is loaded, with a session for every conversation that is decoded.
type daemonLink struct {
	*keptLink
	set    linkSettings
	addr   string
	id     *trust.Holder // nil with development certificates
	may    trust.May
	db     *storage.DB
	log    *slog.Logger
	renew  chan struct{} // holds one token when the certificate may be renewed
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex // guards all following
	hour []storage.LinkSample
	read time.Time // when hour was
}

// errNothing: the board was enrolled to send nothing.
var errNothing = errors.New("this board was enrolled to show its cloud nothing: it answers alone (skerry enroll CODE --may hidden changes that)")

// startDaemonLink finds the cloud and starts dialling. It returns nil where there
// is none. The database may be nil.
func startDaemonLink(set linkSettings, db *storage.DB, log *slog.Logger) (*daemonLink, error) {
	d := &daemonLink{set: set, addr: set.Cloud, db: db, log: log, renew: make(chan struct{}, 1)}
	opt := trust.Options{State: set.State, Dial: cloudlink.DialEnrolment, Software: version}
	if set.Cloud != "" {
		if _, _, err := net.SplitHostPort(set.Cloud); err != nil {
			return nil, fmt.Errorf("cloud address %q: give HOST:PORT", set.Cloud)
		}
		opt.Clouds = []string{set.Cloud}
	}
	var err error
	d.id, err = trust.Hold(opt)
	if errors.Is(err, trust.ErrNotEnrolled) && set.Cloud == "" {
		return nil, nil
	}
	if err != nil && !errors.Is(err, trust.ErrNotEnrolled) {
		return nil, err
	}
	if d.id == nil {
		conf := baseLink(d.addr, db)
		if err := developmentTrust(&conf, set.State); err != nil {
			return nil, err
		}
		d.start(conf)
		return d, nil
	}
	if d.addr == "" {
		d.addr = d.id.Identity().Clouds[0]
	}
	if d.may = d.id.Identity().May; d.may == trust.Nothing {
		return nil, errNothing
	}
	conf := baseLink(d.addr, db)
	enrolledTrust(&conf, d.id, db)
	d.start(conf)
	return d, nil
}

func (d *daemonLink) start(conf cloudlink.LinkConfig) {
	conf.Log = d.log
	conf.Budget.Metered, conf.Budget.Bytes = d.set.MonthlyMB > 0, d.set.MonthlyMB*1e6
	d.keptLink = keepLink(conf, d.db, d.observe)
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	d.wg.Go(func() { d.renewals(ctx) })
}

func (d *daemonLink) close() {
	d.cancel()
	d.wg.Wait()
	d.keptLink.close()
}

// observe takes a connection as the moment to renew a certificate that is due; the
// link logs its events itself.
func (d *daemonLink) observe(e cloudlink.Event) {
	if e.Kind != cloudlink.EventConnected {
		return
	}
	select {
	case d.renew <- struct{}{}:
	default:
	}
}

// renewEvery is how often a certificate that is due is tried again.
const renewEvery = time.Hour

// renewals keeps the certificate from expiring. One that has expired keeps the
// link from connecting, and is renewed over a connection of its own.
func (d *daemonLink) renewals(ctx context.Context) {
	if d.id == nil {
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		renewed, err := d.id.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.log.Warn("the certificate was not renewed", "err", oneLine(err), "expires", d.id.Identity().Certificate.NotAfter)
		case renewed:
			d.log.Info("the certificate was renewed", "expires", d.id.Identity().Certificate.NotAfter)
			d.Retry()
		}
		select {
		case <-ctx.Done():
			return
		case <-d.renew:
		case <-tick.C:
		}
	}
}

// open opens a session for a conversation of the model.
func (d *daemonLink) open(ctx context.Context, mode decode.Mode, bundle wire.Hash, m decode.Model) (*boardLink, error) {
	opt := sessionOptions(mode, bundle, m)
	opt.Context = 0 // as much as the cloud gives: beyond that a conversation goes on alone
	if t := encodings[d.set.Encoding]; t != wire.F32 {
		opt.Exact, opt.Encodings = false, []wire.DType{t}
	}
	l, err := d.keptLink.open(ctx, opt)
	if errors.Is(err, cloudlink.ErrBudget) {
		return nil, fmt.Errorf("half of the month's %d MB are spent, and exact hidden states (f32) are refused from there on: set cloud.encoding to f16 or q8, or raise cloud.monthly_mb", d.set.MonthlyMB)
	}
	return l, err
}

// status of the link, for people.
func (d *daemonLink) status() status.Link {
	if d == nil {
		return status.Link{Hour: []status.Minute{}}
	}
	st, est := d.Status(), d.monitor.Estimates()
	state, reason := d.State()
	s := status.Link{
		Wanted: true, Cloud: d.addr, Connected: st.Connected, Since: st.Since.UTC(), State: state.String(), Reason: d.plain(reason),
		Transport: string(st.Transport), WhyThat: st.Why, May: string(cmp.Or(d.may, trust.Hidden)), Encoding: d.set.Encoding,
		RTTms: milliseconds(est.SmoothedRTT), Loss: est.Loss, Goodput: est.Goodput,
		BytesUp: st.BytesUp, BytesDown: st.BytesDown, Budget: st.Budget.Bytes,
		Reconnects: st.Reconnects, Migrations: st.Migrations, LastError: d.plain(st.LastError), NextDial: st.NextDial.UTC(),
		Hour: d.lastHour(),
	}
	d.keptLink.mu.Lock()
	s.Refusal = d.refusal
	if s.Refusal == "" && st.Refused {
		s.Refusal = wire.CodeUnauthorized.String()
	}
	d.keptLink.mu.Unlock()
	if d.id != nil {
		s.Expires = d.id.Identity().Certificate.NotAfter.UTC()
	}
	return s
}

// plain has an error say what happened, once, and leave out what the page says beside
// it: of which cloud, and that the link is lost.
func (d *daemonLink) plain(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for _, lead := range []string{"cloud " + d.addr + ": ", cloudlink.ErrLost.Error() + ": "} {
			line = strings.TrimPrefix(line, lead)
		}
		if line != "" && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	text = strings.Join(parts, "; ")
	if d.id == nil && strings.Contains(text, "x509: ") {
		return "the cloud at " + d.addr + " has other development certificates: give skerry cloud and skerry serve the same --state, or make certificates with skerry cloud init and enroll"
	}
	return text
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// lastHour are the minutes of the link in the database, which gets a new one about
// every minute.
func (d *daemonLink) lastHour() []status.Minute {
	minutes := []status.Minute{}
	if d.db == nil {
		return minutes
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.read) > 10*time.Second {
		if hour, err := d.db.LinkHistory(now.Add(-time.Hour)); err == nil {
			d.hour, d.read = hour, now
		}
	}
	for _, m := range d.hour[max(0, len(d.hour)-60):] {
		minutes = append(minutes, status.Minute{Start: m.At.UTC(), State: m.State, Reason: m.Reason,
			RTTms: milliseconds(m.RTT), Loss: m.Loss, Goodput: m.Goodput})
	}
	return minutes
}
