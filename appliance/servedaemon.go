package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"skerry/appliance/access"
	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/serve"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/appliance/status/metrics"
	"skerry/cloudlink/wire"
	"skerry/storage"
	"skerry/systemd"
)

// daemon is the running appliance: the core, what it rests on and its doors.
type daemon struct {
	sources config.Sources
	state   string // directory
	log     *slog.Logger
	level   *slog.LevelVar
	logs    *status.Logs
	hub     *status.Hub
	health  *health.Tracker
	metrics *metrics.Metrics
	machine *machine
	db      *storage.DB // nil where it cannot be opened
	dbErr   error       // why
	link    *daemonLink // nil: the board is alone
	linkErr error       // why, where a cloud is wanted
	core    *serve.Core
	notify  systemd.Notifier
	dog     *systemd.Watchdog
	care    *boardCare
	started time.Time

	doors  *access.Server
	failed chan error         // of the doors
	orders chan control.Power // of the command line
	cut    context.CancelFunc // ends what runs beside the doors
	wg     sync.WaitGroup

	confMu  sync.Mutex // guards all following
	conf    config.Config
	origins []config.Origin
}

// startDaemon opens the doors and has the model loaded behind them.
func startDaemon(sources config.Sources, out *console) (_ *daemon, err error) {
	conf, origins, err := config.Load(sources)
	if err != nil {
		return nil, usageError("%w", err)
	}
	d := &daemon{
		sources: sources, conf: conf, origins: origins, started: time.Now(), level: new(slog.LevelVar),
		hub: status.NewHub(), health: health.NewTracker(time.Now), machine: newMachine("/"), dog: systemd.NewWatchdog(),
		failed: make(chan error, 1), orders: make(chan control.Power, 1),
	}
	d.openLog(out)
	d.care = newBoardCare(d)
	d.metrics = metrics.New(d.status)
	if d.state, err = stateDir(conf.State); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.state, 0o700); err != nil {
		return nil, fmt.Errorf("the state directory cannot be made: %w (name another with --state)", err)
	}
	given, err := systemd.Inherit()
	if err != nil {
		return nil, err
	}
	if err := d.openDoors(given); err != nil {
		return nil, err
	}
	if err := d.openDatabase(); err != nil {
		d.doors.Shutdown(context.Background())
		return nil, err
	}
	if engine.Init("").Baseline() {
		d.log.Warn(baselineWarning)
	}
	d.openLink()
	d.core = serve.New(serve.Options{
		Loader: d.loader(), Journal: d.journal(), Defaults: defaultOptions(conf), KeepAlive: time.Duration(conf.KeepAlive), Log: d.log,
		Observe: d.observe, Queued: d.metrics.ObserveQueueWait, Watch: d.watch(),
	})
	ctx, cut := context.WithCancel(context.Background())
	d.cut = cut
	d.serve(ctx)
	d.care.start(ctx, &d.wg, conf.Board)
	d.wg.Go(func() { d.look(ctx) })
	if interval := systemd.Interval(); interval > 0 {
		d.wg.Go(func() { d.dog.Run(ctx, interval) })
	}
	d.notify.Ready(d.summary(d.status()))
	return d, nil
}

// openLog has records remembered for the page, and written to the journal with
// their fields or to stderr.
func (d *daemon) openLog(out *console) {
	d.level.UnmarshalText([]byte(d.conf.Log.Level)) // config has checked it
	var h slog.Handler = systemd.NewJournalHandler(d.level)
	if d.conf.Log.Format != "auto" || !systemd.UnderJournal() {
		h = textLog(d.conf.Log.Format, out.stderr, d.level)
	}
	d.logs = status.NewLogs(d.conf.Log.Lines, h)
	d.logs.FanOut(d.hub)
	d.log = slog.New(d.logs)
}

func textLog(format string, w io.Writer, level slog.Leveler) slog.Handler {
	opt := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, opt)
	}
	return slog.NewTextHandler(w, opt)
}

// stuckAfter is how long a decode may make no progress before the watchdog is fed no
// more, where the unit's WatchdogSec says nothing else: a batch of prompt on the
// slowest board takes half of it.
const stuckAfter = time.Minute

// watch has the watchdog see to the progress of answers.
func (d *daemon) watch() func() serve.Watched {
	limit := cmp.Or(systemd.Interval(), stuckAfter)
	return func() serve.Watched { return d.dog.Begin(limit) }
}

// observe takes in every token.
func (d *daemon) observe(t serve.TokenSeen) {
	if t.First {
		d.metrics.ObserveFirstToken(t.Took)
	} else {
		d.metrics.ObserveInterval(t.Took)
	}
	if d.link != nil {
		d.link.count(decode.Source(t.Source))
	}
	d.hub.Token(status.Said{Session: t.Session, Source: t.Source, Text: t.Text, Index: t.Index})
}

// config is the configuration in force.
func (d *daemon) config() config.Config {
	d.confMu.Lock()
	defer d.confMu.Unlock()
	return d.conf
}

// openDatabase opens the board's database. Without one answers are given all the
// same, and outlive no restart; only another daemon's is not to be shared.
func (d *daemon) openDatabase() error {
	db, err := storage.Open(databasePath(d.state), storage.Options{
		Durability: d.conf.Durability, KeepFor: time.Duration(d.conf.SessionKeep), KeepBytes: int64(d.conf.SessionSize),
	})
	if errors.Is(err, storage.ErrLocked) {
		return fmt.Errorf("a daemon runs with the state directory %s already: ask it (skerry status), or give --state another", d.state)
	}
	if err != nil {
		d.log.Error("nothing is kept over a restart: the database cannot be opened", "error", oneLine(err))
		d.dbErr = err
		return nil
	}
	d.db = db
	if aside := db.SetAside(); aside != "" {
		d.log.Warn("the database was damaged and is set aside; what is whole of it was kept", "file", aside)
	}
	return nil
}

// journal is a nil interface without a database.
func (d *daemon) journal() serve.Journal {
	if d.db == nil {
		return nil
	}
	return daemonJournal{d.db}
}

// openLink dials the cloud, where there is one and the mode asks it.
func (d *daemon) openLink() {
	if !wantsCloud(d.conf.Mode) {
		return
	}
	d.link, d.linkErr = startDaemonLink(linkSettings{
		Cloud: d.conf.Cloud.Address, Encoding: d.conf.Cloud.Encoding, MonthlyMB: uint64(d.conf.Cloud.MonthlyMB), State: d.state,
	}, d.db, d.log)
	switch {
	case errors.Is(d.linkErr, errNothing): // as its owner wanted
		d.log.Info("the board is alone", "why", d.linkErr)
	case d.linkErr != nil:
		d.log.Error("the board is alone", "error", oneLine(d.linkErr))
	}
}

func (d *daemon) loader() *modelLoader {
	l := &modelLoader{conf: d.conf, state: d.state, log: d.log}
	if d.link != nil {
		l.openCloud = func(mode decode.Mode, bundle wire.Hash, m decode.Model) (*boardLink, error) {
			return d.link.open(context.Background(), mode, bundle, m)
		}
	}
	return l
}

// defaultOptions of answers whose requests say nothing else.
func defaultOptions(conf config.Config) decode.Options {
	return decode.Options{
		Mode: decode.Mode(conf.Mode), Thresholds: conf.Threshold, MaxTokens: conf.MaxTokens, OnLoss: decode.OnLoss(conf.OnLoss), Eager: conf.Eager,
		MaxTokenLatency: time.Duration(conf.MaxTokenLatency),
		Sampling:        engine.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05},
	}
}

// stop ends the daemon: answers finish within the grace time or are journalled, and
// only then the doors close.
func (d *daemon) stop(err error) error {
	d.notify.Stopping("finishing answers")
	d.log.Info("stopping", "grace", time.Duration(d.config().Grace))
	grace, cancel := context.WithTimeout(context.Background(), time.Duration(d.config().Grace))
	defer cancel()
	err = errors.Join(err, d.core.Shutdown(grace))
	last, cancelLast := context.WithTimeout(context.Background(), lastWords)
	defer cancelLast()
	d.hub.Close()
	d.doors.Shutdown(last) // what is left then is cut
	d.cut()
	d.wg.Wait()
	if d.link != nil {
		d.link.close()
	}
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	return err
}

// lastWords is how long readers may take for what is said at the end.
const lastWords = 2 * time.Second
