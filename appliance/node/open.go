package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/fserr"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// OpenOptions of Open.
type OpenOptions struct {
	// Config says which bundle and mode, how many positions and threads, and what of the
	// link and the database. It holds one conversation at a time.
	Config config.Config
	// Defaults of answers, for what a request leaves open or cannot say. Its mode is that of
	// the configuration.
	Defaults decode.Options
	Version  string // of the program
	// Session is the one that is asked in; "" for none. The database is needed for it, and
	// otherwise done without where it cannot be had.
	Session string
	// Local, where it is set, waits for a cloud partition that this program has started on
	// loopback and returns its address; LocalState is the directory of its certificates. It is
	// called once the board's own stages are loaded.
	Local      func(ctx context.Context) (addr string, err error)
	LocalState string
	// Emulated is put before the cloud, as linksim.Parse has it; "" for nothing. Its losses
	// are drawn from Seed.
	Emulated string
	Seed     uint64
}

// Open puts a board together for one program that asks it itself, and returns once the model
// is loaded. No listener is opened. The error of a session that another process has the
// database of wraps storage.ErrLocked. Close ends the board.
func Open(ctx context.Context, o OpenOptions) (_ *Board, err error) {
	b := &Board{version: o.Version, log: slog.New(slog.DiscardHandler), single: &o}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	mode := infer.Mode(o.Config.Mode)
	if b.state, err = config.StateDir(o.Config.State); err != nil && (o.Session != "" || o.Config.Cloud.MonthlyMB > 0 || decode.NeedsCloud(mode)) {
		return nil, err
	}
	if o.Session != "" || o.Config.Cloud.MonthlyMB > 0 || decode.NeedsCloud(mode) && o.Local == nil {
		if err := b.openDatabaseFor(o); err != nil {
			return nil, err
		}
	}
	l := &loader{conf: o.Config, root: "/", single: true, life: ctx}
	if decode.NeedsCloud(mode) {
		if o.Local == nil {
			if err := b.dial(ctx, o.Config.Cloud.Address); err != nil {
				return nil, err
			}
		}
		l.openCloud = b.openCloud
		if o.Local != nil && mode == decode.CloudLed { // which this program starts with the whole model
			l.takesTokens = func(context.Context, wire.Hash) bool { return true }
		}
		if b.link != nil {
			l.takesTokens = b.link.takesTokens
		}
	}
	b.openCore(l, server.Options{Defaults: o.Defaults, Undelivered: true, Observe: b.count})
	if err := b.core.Await(ctx); err != nil {
		return nil, err
	}
	b.report()
	if b.rows != nil {
		return b, b.rows.check(b.Model().Digest)
	}
	return b, nil
}

// openDatabaseFor opens the database. Without a session it is no loss to do without: a
// program beside another has no tickets then.
func (b *Board) openDatabaseFor(o OpenOptions) error {
	opt := databaseOptions(o.Config)
	if o.Session == "" {
		opt.LockTimeout = time.Millisecond
	}
	b.db, b.dbErr = storage.Open(config.DatabasePath(b.state), opt)
	if b.dbErr == nil && o.Session != "" {
		b.rows = &keptRows{db: b.db, session: o.Session}
	}
	if o.Session == "" {
		return nil
	}
	return b.dbErr
}

// dial starts the link to the cloud at addr, or with "" to that of the enrolment.
func (b *Board) dial(ctx context.Context, addr string) error {
	set := settingsOf(b.single.Config, b.state, b.version)
	set.Cloud, set.Own = addr, b.single.Local != nil
	if set.Own {
		set.State = b.single.LocalState
	}
	if b.single.Emulated != "" {
		if err := b.emulate(ctx, &set); err != nil {
			return err
		}
	}
	link, err := startLink(set, b.db, b.log)
	switch {
	case err == nil && link == nil:
		err = ErrNoAddress
	case errors.Is(err, errNothing):
		err = fmt.Errorf("this board was enrolled to show its cloud nothing, and mode %s asks one: give --mode %s or --mode %s (skerry enroll CODE --may hidden changes it)", b.single.Config.Mode, decode.Unsplit, decode.Standalone)
	}
	if err != nil {
		return err
	}
	b.link = link
	return nil
}

// report has the cloud told of this board, where one is asked; the core is there.
func (b *Board) report() {
	if b.link == nil {
		return
	}
	b.link.reportTo(b.link.Link, func() boardReport {
		r := boardReport{mode: b.single.Config.Mode, health: "ok"}
		if s := b.core.Snapshot(); s.Model != nil {
			r.bundle = bundleHash(s.Model.Bundle)
		}
		return r
	})
}

// emulate puts the emulated link before the cloud.
func (b *Board) emulate(ctx context.Context, set *linkSettings) error {
	spec, err := linksim.Parse(b.single.Emulated)
	if err != nil {
		return err
	}
	addr := set.Cloud
	if addr == "" {
		clouds, err := Clouds(b.state)
		if err != nil {
			return err
		}
		addr = clouds[0]
	}
	target, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return fmt.Errorf("cloud %s: %w (check the address)", addr, err)
	}
	if b.emulated, err = linksim.Start(context.WithoutCancel(ctx), spec, target, b.single.Seed); err != nil {
		return err
	}
	set.Through = b.emulated.Addr().String()
	return nil
}

// Clouds are the addresses of the cloud that the board of a state directory is enrolled
// with, none where it is with none.
func Clouds(state string) ([]string, error) {
	if !trust.Enrolled(state) {
		return nil, nil
	}
	id, err := trust.Load(state)
	if err != nil {
		return nil, err
	}
	if len(id.Clouds) == 0 {
		return nil, ErrNoAddress
	}
	return id.Clouds, nil
}

// openCloud opens the one session of the link, connected or not.
func (b *Board) openCloud(ctx context.Context, mode infer.Mode, bundle wire.Hash, m decode.Model) (*CloudSession, error) {
	if b.link == nil {
		addr, err := b.single.Local(ctx)
		if err != nil {
			return nil, err
		}
		if err := b.dial(ctx, addr); err != nil {
			return nil, err
		}
	}
	s, err := b.link.open(ctx, mode, bundle, m, b.rows)
	if err == nil && b.rows != nil {
		b.rows.cloud = s
	}
	return s, err
}

// Close cuts what is under way, which stays in the journal, and closes the board. It returns
// what of a session could not be written down; without one nothing was to be kept.
func (b *Board) Close() (err error) {
	if b.core != nil {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		err = b.core.Shutdown(now)
	}
	err = errors.Join(err, b.closeAll())
	if b.emulated != nil {
		b.emulated.Close()
	}
	if b.single.Session == "" {
		return nil
	}
	return err
}

// firstDial bounds the wait for a cloud that does not answer.
const firstDial = 5 * time.Second

// AwaitCloud waits until the cloud can be asked: not long, or for as long as it takes where
// answers are to wait. Where it cannot be, alone says why and what answers in its place; the
// link goes on trying. The error is that the mode has nothing without it, or that answers are
// to end then. A mode that asks no cloud waits for nothing.
func (b *Board) AwaitCloud(ctx context.Context) (alone string, err error) {
	if b.link == nil {
		return "", nil
	}
	mode, onLoss := infer.Mode(b.single.Config.Mode), infer.OnLoss(b.single.Config.OnLoss)
	dialing, cancel := context.WithTimeout(ctx, firstDial)
	defer cancel()
	if onLoss == infer.AwaitCloud {
		dialing = ctx // however long it takes
	}
	err = b.link.Await(dialing)
	lacks := false
	switch {
	case err == nil:
		have, known := b.link.Bundles()
		if !known || !offer.Lacks(have, bundleHash(b.Model().Digest)) {
			return "", nil
		}
		lacks, err = true, fmt.Errorf("%s: %s", offer.LacksText(have), offer.LacksRemedy(have))
	case ctx.Err() != nil:
		return "", ctx.Err()
	case b.link.Status().Err == nil:
		err = fmt.Errorf("no answer within %s", firstDial)
	}
	addr := b.link.addrs[0]
	beside := addr
	if st := b.link.Status(); len(b.link.addrs) > 1 && st.Connected {
		addr = st.Addr
	} else if len(b.link.addrs) > 1 && b.emulated == nil {
		addr, beside = strings.Join(b.link.addrs, " or "), "" // each cause says of which of them it is
	}
	if err = fmt.Errorf("cloud %s: %s", addr, cloudlink.Explain(err, beside)); !lacks {
		err = fmt.Errorf("%w (`skerry link test` says which part fails)", err)
	}
	if onLoss != infer.GoAlone || !decode.HasExits(mode) {
		return "", err
	}
	how := ""
	m := b.loader.loaded.model
	if rest, ok := m.Tail.(*LazyRest); ok && !m.Exits[len(m.Exits)-1].Alone {
		if none := rest.Ready(); none != nil {
			return "", fmt.Errorf("%w: and nothing on this board may answer in its place: %w: mend the link, or hear the exits' guesses with --mode standalone", err, none)
		}
		how = ", with the whole model"
	}
	return fmt.Sprintf("%s: answering alone%s", status.OneLine(err), how), nil
}

// Model is the one that is loaded.
func (b *Board) Model() infer.Model { return b.core.Models()[0] }

// Notes are what is to be known of who speaks on this board, each a line: that the bundle's
// draft model is not used, and unless quiet what the answers of the exits are worth.
func (b *Board) Notes(quiet bool) (notes []string) {
	o := b.loader.loaded
	if o.noDraft != nil {
		notes = append(notes, "skerry: going on without the draft model: "+status.OneLine(o.noDraft))
	}
	if o.mode == decode.Standalone && o.model.Draft == nil && !quiet {
		notes = append(notes, "mode standalone says what the exits guess: "+ExitsWorth(o.bundle.Manifest))
	}
	return notes
}

// Database says where a damaged database was set aside, "" where none was, and why there is
// none.
func (b *Board) Database() (setAside string, err error) {
	if b.db != nil {
		setAside = b.db.SetAside()
	}
	return setAside, b.dbErr
}

// operator is who asks a board that a program has opened itself: all sessions are his.
var operator = infer.By{Every: true}

// Ask is infer.Asker's, for this machine itself.
func (b *Board) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	r.By, r.Client = operator, "local"
	return b.core.Ask(ctx, r)
}

// Follow is infer.Asker's, for this machine itself.
func (b *Board) Follow(ctx context.Context, f infer.Following) (infer.Answer, error) {
	f.By = operator
	return b.core.Follow(ctx, f)
}

// Session is one in full; that there is none is admin.ErrNotFound.
func (b *Board) Session(_ context.Context, session string) (admin.Session, error) {
	return sessionOf(b.core, operator, session)
}

// Cancel ends the answer under way in a session, for good and as it is.
func (b *Board) Cancel(_ context.Context, session string) error {
	return b.core.Cancel(operator, session)
}

// Interrupt cuts the answer under way; in a session it stays open, to be gone on with.
func (b *Board) Interrupt() { b.core.Interrupt() }

// Delivered notes that the session's answer was written to its reader. The error is also of
// what of the answer could not be written down before.
func (b *Board) Delivered() error {
	if err := b.core.JournalErr(); err != nil || b.single.Session == "" {
		return fserr.Explain(err, b.state, otherState)
	}
	return b.core.Delivered(b.single.Session)
}

// linkBytes are UDP payload.
type linkBytes struct{ up, down uint64 }

// LinkUse is how the link to the cloud is, and what went over it.
type LinkUse struct {
	BytesUp, BytesDown int64 // UDP payload since the last call; of the first the handshake, too
	RTTms              float64
	Transport          string // quic or tcp
	Reconnects         uint64
	State, Figures     string
}

// LinkUse is of the time since the last call, nil where no cloud is asked.
func (b *Board) LinkUse() *LinkUse {
	if b.link == nil {
		return nil
	}
	st := b.link.Status()
	state, figures := b.link.State()
	u := &LinkUse{
		RTTms: milliseconds(st.Stats.SmoothedRTT), Transport: string(st.Transport), Reconnects: st.Reconnects, State: state.String(), Figures: figures,
		BytesUp: int64(st.Stats.BytesSent - b.counted.up), BytesDown: int64(st.Stats.BytesReceived - b.counted.down),
	}
	b.counted = linkBytes{st.Stats.BytesSent, st.Stats.BytesReceived}
	return u
}
