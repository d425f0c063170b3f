package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"skerry/appliance/bundle/offer"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// linkSettings say which cloud a daemon has and how it sends.
type linkSettings struct {
	Cloud     string         // host:port; "": the one the board is enrolled with, if any
	Encoding  string         // f32, f16, q8
	MonthlyMB uint64         // 0: not metered
	State     string         // directory
	Random    func() float64 // in [0, 1), spreads dials and reports; nil: the runtime's
	Version   string         // of the program
	Changed   func()         // is called soon after the link has come up or gone; may be nil
	// Own is set for a cloud partition that this program itself has started on loopback, whose
	// end it learns by itself: until then it is slow and not silent.
	Own bool
	// Through is where the cloud is dialled instead, as behind an emulated link; "": at Cloud.
	Through string
}

// cloudLink is the daemon's one connection to its cloud, up from before the model
// is loaded, with a session for every conversation that is decoded.
type cloudLink struct {
	*cloudlink.Link
	*tokenCount
	set    linkSettings
	addrs  []string           // of the cloud
	id     *trust.Credentials // nil with development certificates
	may    trust.Disclosure
	db     *storage.DB
	log    *slog.Logger
	noLead atomic.Bool   // the cloud of this connection is too old to lead
	renew  chan struct{} // holds one token when the certificate may be renewed
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex // guards all following
	hour []monitor.Record
	read time.Time // when hour was
}

// ownWait is how long a cloud of the program's own may stay silent.
const ownWait = 10 * time.Minute

// errNothing: the board was enrolled to send nothing.
var errNothing = errors.New("this board was enrolled to show its cloud nothing: it answers alone (skerry enroll CODE --may hidden changes that)")

// ErrNoAddress: an enrolment whose code named no address of its cloud.
var ErrNoAddress = errors.New("this board's enrolment names no address of its cloud: set `cloud.address`, or enroll again with --cloud HOST:PORT")

// startLink finds the cloud and starts dialling. It returns nil where there
// is none. The database may be nil.
func startLink(set linkSettings, db *storage.DB, log *slog.Logger) (*cloudLink, error) {
	d := &cloudLink{tokenCount: newTokenCount(set.Version), set: set, addrs: []string{set.Cloud}, db: db, log: log, renew: make(chan struct{}, 1)}
	opt := trust.Options{State: set.State, Dial: cloudlink.DialEnrolment, Software: set.Version}
	if set.Cloud != "" {
		if _, _, err := net.SplitHostPort(set.Cloud); err != nil {
			return nil, fmt.Errorf("cloud address %q: give HOST:PORT", set.Cloud)
		}
		opt.Clouds = []string{set.Cloud}
	}
	var err error
	if set.Own {
		err = trust.ErrNotEnrolled
	} else {
		d.id, err = trust.LoadCredentials(opt)
	}
	if errors.Is(err, trust.ErrNotEnrolled) && set.Cloud == "" {
		return nil, nil
	}
	if err != nil && !errors.Is(err, trust.ErrNotEnrolled) {
		return nil, err
	}
	if d.id == nil {
		conf := LinkConfig(cmp.Or(set.Through, set.Cloud), set.Version, db)
		if set.Own {
			conf.LeastWait = ownWait
		}
		if set.Own && set.MonthlyMB == 0 { // the bytes of loopback cost nobody anything
			conf.Budget.Store = nil
		}
		if err := DevelopmentTrust(&conf, set.State); err != nil {
			return nil, err
		}
		d.start(conf)
		return d, nil
	}
	if set.Cloud == "" {
		if d.addrs = d.id.Identity().Clouds; len(d.addrs) == 0 {
			return nil, ErrNoAddress
		}
	}
	if d.may = d.id.Identity().Disclosure; d.may == trust.Nothing {
		return nil, errNothing
	}
	conf := LinkConfig(d.addrs[0], set.Version, db)
	conf.Addrs = d.addrs
	if set.Through != "" { // which leads to one address
		conf.Addr, conf.Addrs = set.Through, nil
	}
	EnrolledTrust(&conf, d.id, db)
	d.start(conf)
	return d, nil
}

func (d *cloudLink) start(conf cloudlink.LinkConfig) {
	conf.Log, conf.Random = d.log, d.set.Random
	conf.Budget.Metered, conf.Budget.Bytes = d.set.MonthlyMB > 0, d.set.MonthlyMB*1e6
	conf.Observe = d.observe
	d.Link = NewLink(conf, d.db)
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	d.wg.Go(func() { d.renewals(ctx) })
}

func (d *cloudLink) close() {
	d.cancel()
	d.wg.Wait()
	d.Link.Close()
}

// observe takes a connection as the moment to renew a certificate that is due; the
// link logs its events itself.
func (d *cloudLink) observe(e cloudlink.Event) {
	if d.set.Changed != nil && (e.Kind == cloudlink.EventConnected || e.Kind == cloudlink.EventLost) {
		d.set.Changed()
	}
	if e.Kind != cloudlink.EventConnected {
		return
	}
	d.noLead.Store(false) // it may be another by now
	select {
	case d.renew <- struct{}{}:
	default:
	}
}

// renewEvery is how often a certificate that is due is tried again.
const renewEvery = time.Hour

// renewals keeps the certificate from expiring. One that has expired keeps the
// link from connecting, and is renewed over a connection of its own.
func (d *cloudLink) renewals(ctx context.Context) {
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
			d.log.Warn("the certificate was not renewed", "err", status.OneLine(err), "expires", d.id.Identity().Certificate.NotAfter)
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

// HalfSpentError is of a link on which exact hidden states are refused, since half of the
// month's bytes are spent.
type HalfSpentError struct{ MonthlyMB uint64 }

func (e *HalfSpentError) Error() string {
	return fmt.Sprintf("half of the month's %d MB are spent, and exact hidden states (f32) are refused from there on: set cloud.encoding to %s, or raise cloud.monthly_mb", e.MonthlyMB, wire.LossyNames())
}

// open opens a session for a conversation of the model, one that kept knows of where it is
// not nil.
func (d *cloudLink) open(ctx context.Context, mode infer.Mode, bundle wire.Hash, m decode.Model, kept *keptRows) (*CloudSession, error) {
	opt := SessionOptions(mode, bundle, m)
	opt.Context = 0                  // as much as the cloud gives: beyond that a conversation goes on alone
	if decode.SpecOf(mode).Bounded { // the others have an encoding of their own, or none but the exact one
		SendAs(&opt, d.set.Encoding)
	}
	if err := kept.resume(&opt); err != nil {
		return nil, err
	}
	s, err := openSession(ctx, d.Link, opt)
	if errors.Is(err, cloudlink.ErrBudget) && decode.SpecOf(mode).StandsIn {
		return nil, &HalfSpentError{d.set.MonthlyMB}
	}
	if err == nil {
		s.noLead = d.markNoLead
	}
	return s, err
}

// markNoLead notes that the cloud of this connection is too old to lead.
func (d *cloudLink) markNoLead(why error) {
	if d.noLead.CompareAndSwap(false, true) {
		d.log.Info("the cloud does not lead: its answers are checked row by row", "why", status.OneLine(why))
	}
}

// shortCut is for how long a cut of the link is no reason to refuse a question: an answer
// waits for longer than that.
const shortCut = 5 * time.Second

// unreachable says why the cloud cannot be asked about a bundle at present, for longer
// than a moment, and when it is dialled again; "" while it can, as far as is known.
func (d *cloudLink) unreachable(bundle wire.Hash) (why string, again time.Duration) {
	st, since := d.Status(), d.DownSince()
	have, known := d.Bundles()
	switch {
	case st.Connected && known && offer.Lacks(have, bundle):
		return offer.LacksText(have) + ": " + offer.LacksRemedy(have), time.Minute
	case st.Connected:
		return "", 0
	case since.IsZero(): // not reached yet
		since = d.began
	}
	if !st.Refused && time.Since(since) < shortCut {
		return "", 0
	}
	why = "it cannot be reached"
	if st.Err != nil {
		why = d.explain(st.Err, st.Addr)
	}
	return why, time.Until(st.NextDial)
}

// status of the link, for people.
func (d *cloudLink) status() status.Link {
	if d == nil {
		return status.Link{Hour: []status.Minute{}}
	}
	st, est := d.Status(), d.Estimates()
	state, reason := d.State()
	s := status.Link{
		Wanted: true, Cloud: st.Addr, Connected: st.Connected, Since: st.Since.UTC(), State: state.String(), Reason: reason,
		Transport: string(st.Transport), WhyThat: st.Why, May: string(cmp.Or(d.may, trust.Hidden)), Encoding: d.set.Encoding,
		RTTms: milliseconds(est.SmoothedRTT), Loss: est.Loss, Goodput: est.Goodput,
		BytesUp: st.BytesUp, BytesDown: st.BytesDown, Budget: st.Budget.Bytes,
		Breaches: st.Breaches, Breach: st.LastBreach, BreachAt: st.BreachAt.UTC(),
		Unanswered: st.Unanswered, UnansweredAt: st.UnansweredAt.UTC(),
		Reconnects: st.Reconnects, Migrations: st.Migrations, LastError: d.explain(st.Err, st.Addr), NextDial: st.NextDial.UTC(),
		Hour: d.lastHour(),
	}
	r := d.Refused()
	if r.Untrusted && d.id == nil {
		r.Text = otherDevelopment(d.addrs[0])
	}
	showRefusal(&s, r)
	if d.id != nil {
		s.Expires = d.id.Identity().Certificate.NotAfter.UTC()
	}
	return s
}

// judgeModels says of each loaded model whether the cloud, while it is connected, lacks it.
func (d *cloudLink) judgeModels(models []status.Model) {
	if d == nil || !d.Status().Connected {
		return
	}
	have, known := d.Bundles()
	for i := range models {
		if m := &models[i]; known && m.State == status.Ready && offer.Lacks(have, bundleHash(m.Bundle)) {
			m.CloudLacks = offer.LacksText(have)
		}
	}
}

// explain has an error say what happened, once, and leave out what the page says beside
// it: of which cloud, and that the link is lost.
func (d *cloudLink) explain(err error, beside string) string {
	if d.id == nil && errors.As(err, new(*cloudlink.UntrustedError)) {
		return otherDevelopment(d.addrs[0])
	}
	return cloudlink.Explain(err, beside)
}

// otherDevelopment says that the cloud at addr has other development certificates than
// this board.
func otherDevelopment(addr string) string {
	return "the cloud at " + addr + " has other development certificates: give skerry cloud and skerry serve the same --state, or make certificates with skerry cloud init and enroll"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// lastHour are the minutes of the link in the database, which gets a new one about
// every minute.
func (d *cloudLink) lastHour() []status.Minute {
	minutes := []status.Minute{}
	if d.db == nil {
		return minutes
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.read) > 10*time.Second {
		if hour, err := LinkMinutes(d.db, now.Add(-time.Hour)); err == nil {
			d.hour, d.read = hour, now
		}
	}
	for _, m := range d.hour[max(0, len(d.hour)-60):] {
		minutes = append(minutes, status.Minute{Start: m.Start.UTC(), State: m.Worst, Reason: m.Reason,
			RTTms: milliseconds(m.RTT), Loss: m.Loss, Goodput: m.Goodput})
	}
	return minutes
}
